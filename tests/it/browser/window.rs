//! A window of headless Chromium, and what a person does in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use harness::node::Node;
use harness::{Answer, Client, TestApp, packages};
use reqwest::Url;
use serde_json::{Value, json};
use tempfile::TempDir;

const NPM: [&str; 2] = ["playwright-core@1.65.1", "axe-core@4.14.1"];

/// A window. What it meets by HTTP is the program that drives it, `tests/fixtures/browser.cjs`.
pub struct Window {
    driver: Client,
    /// Where pages of ours begin.
    ours: String,
    _node: Node,
    _dir: TempDir,
}

impl Window {
    /// Opens a window of a fresh browser.
    pub fn open(t: &TestApp) -> Self {
        Self::start(t, "on")
    }

    /// One in which JavaScript is switched off.
    pub fn open_without_scripts(t: &TestApp) -> Self {
        Self::start(t, "off")
    }

    fn start(t: &TestApp, scripts: &str) -> Self {
        let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
        packages::install(&modules, &NPM, &[]);
        let dir = TempDir::new().expect("make a temporary folder");
        let screenshots = screenshots().unwrap_or_else(|| dir.path().to_owned());
        let folders = [dir.path(), screenshots.as_path()].map(|path| path.display().to_string());
        let [temporary, screenshots] = &folders;
        let node = Node::start("browser.cjs", Some(&modules), &[temporary, screenshots, scripts]);
        Self {
            driver: Client::new(&node.url),
            ours: format!("{}/", t.url),
            _node: node,
            _dir: dir,
        }
    }

    async fn does(&self, act: &str, body: Value) -> Answer {
        self.driver.post(&format!("/{act}"), body).await.expect(200)
    }

    /// Opens a page.
    pub async fn goes(&self, url: &str) {
        self.does("go", json!({ "url": url })).await;
    }

    /// Types into the field of a label.
    pub async fn fills(&self, label: &str, text: &str) {
        self.does("fill", json!({ "label": label, "text": text })).await;
    }

    /// Picks from a list.
    pub async fn chooses(&self, label: &str, option: &str) {
        self.does("choose", json!({ "label": label, "option": option })).await;
    }

    /// Clicks a button.
    pub async fn presses(&self, button: &str) {
        self.does("press", json!({ "role": "button", "name": button })).await;
    }

    /// Clicks a link.
    pub async fn follows(&self, link: &str) {
        self.does("press", json!({ "role": "link", "name": link })).await;
    }

    /// Goes on with Tab until something has the focus, and presses Enter. Answers what had the focus on the way.
    pub async fn reaches_and_enters(&self, name: &str) -> Vec<String> {
        let on_the_way = self.does("tab", json!({ "name": name })).await.json();
        self.does("key", json!({ "key": "Enter" })).await;
        texts(&on_the_way["order"])
    }

    /// Waits for a text.
    pub async fn sees(&self, text: &str) {
        self.does("see", json!({ "text": text })).await;
    }

    /// Waits for the page of a heading.
    pub async fn arrives(&self, heading: &str) {
        self.does("see", json!({ "role": "heading", "name": heading })).await;
    }

    /// Fills the form in that asks for name and password.
    pub async fn signs_in(&self, name: &str, password: &str) {
        self.fills("E-mail address or user name", name).await;
        self.fills("Password", password).await;
        self.presses("Sign in").await;
    }

    /// Takes pictures of the page, and holds it to the rules of accessibility and to the width of a phone.
    pub async fn looks_right(&self, name: &str) {
        let seen = self.does("look", json!({ "name": name })).await.json();
        assert_eq!(seen["wrong"], json!([]), "{name}: {seen:#}");
    }

    /// The title of the page.
    pub async fn title(&self) -> String {
        self.does("here", json!({})).await.at("/title")
    }

    /// How many elements there are.
    pub async fn counts(&self, selector: &str) -> u64 {
        let counted = self.does("count", json!({ "selector": selector })).await;
        counted.json()["count"].as_u64().expect("a number")
    }

    /// Unfolds sections one after another; answers the ids of all the items in them.
    pub async fn unfolds(&self, section: &str, item: &str) -> BTreeSet<String> {
        let body = json!({ "section": section, "item": item });
        texts(&self.does("unfold", body).await.json()["ids"])
            .into_iter()
            .collect()
    }

    /// The value of a cookie that the browser keeps.
    pub async fn cookie(&self, name: &str) -> String {
        self.does("cookie", json!({ "name": name })).await.at("/value")
    }

    /// Where an application on this machine listens for what a browser brings back.
    pub fn callback(&self) -> String {
        format!("{}/callback", self.driver.base)
    }

    /// Waits until the browser is back at that application; answers what it brings.
    pub async fn comes_back(&self) -> BTreeMap<String, String> {
        self.arrives("Back").await;
        let url = Url::parse(&self.does("here", json!({})).await.at("/url")).expect("an address");
        assert_eq!(url.path(), "/callback", "{url}");
        url.query_pairs().into_owned().collect()
    }

    /// The end. On pages of ours nothing went wrong: no script, no style, no request, and nothing that their policy forbids.
    pub async fn closes(self) {
        let complaints = texts(&self.does("complaints", json!({})).await.json()["complaints"]);
        let of_ours: Vec<_> = complaints.iter().filter(|text| text.starts_with(&self.ours)).collect();
        assert!(of_ours.is_empty(), "{of_ours:#?}");
        self.does("close", json!({})).await;
    }
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Where pictures go that somebody wants to see: `STRONGROOM_TEST_SCREENSHOTS`, seen from the repository's root.
fn screenshots() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = root.join(std::env::var_os("STRONGROOM_TEST_SCREENSHOTS")?);
    std::fs::create_dir_all(&folder).expect("make the folder of the screenshots");
    Some(folder)
}
