//! Signing in with identity providers of others, and trading tokens of others.

mod evil;
mod keyless;
mod linking;
mod meanwhile;
mod organisations;
mod setting_up;
mod signing_in;

use std::path::{Path, PathBuf};

use harness::node::Node;
use harness::{Answer, Client, Person, TestApp, packages};
use serde_json::{Value, json};

const NPM: [&str; 1] = ["oidc-provider@9.13.3"];
const PYPI: [&str; 1] = ["PyJWT==2.15.1"];
pub const OIDC: &str = "/v1/admin/oidc";
pub const INSTANCE: &str = "/v1/auth/sso/instance";

fn modules() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openid");
    packages::install(&dir, &NPM, &PYPI);
    dir
}

fn provider(t: &TestApp, asks: &str) -> Node {
    let (callback, back) = (format!("{}{INSTANCE}/callback", t.url), format!("{}/docs", t.url));
    Node::start("provider.cjs", Some(&modules()), &[&callback, &back, asks])
}

/// The certified provider, which knows this instance as a client.
pub fn certified(t: &TestApp) -> Node {
    provider(t, "")
}

/// The same provider, which asks people on pages of its own; to browsers it is another site than this instance.
pub fn certified_with_forms(t: &TestApp) -> Node {
    let mut node = provider(t, "forms");
    node.url = node.url.replace("127.0.0.1", "localhost");
    node
}

/// The provider without scruples.
pub fn liar() -> Node {
    Node::start("issuer.mjs", None, &[])
}

/// Tells a fixture something.
pub async fn tell(node: &Node, path: &str, body: Value) -> Answer {
    Client::new(&node.url).post(path, body).await
}

/// Somebody who looks after the instance.
pub async fn root(t: &TestApp) -> Person {
    let root = t.person("root").await;
    t.sql("UPDATE users SET is_superuser = TRUE WHERE first_name = 'root'")
        .await;
    root
}

/// Settings that fit both fixtures.
pub fn settings(node: &Node) -> Value {
    json!({
        "enabled": true, "issuer": node.url, "client_id": "strongroom",
        "client_secret": "a secret of the client, with blanks & signs",
    })
}

/// Sets the instance's provider up; answers who did.
pub async fn set_up(t: &TestApp, node: &Node) -> Person {
    let root = root(t).await;
    root.patch(OIDC, settings(node)).await.expect(200).ok();
    root
}

/// The cookie of a name that an answer sets, as it is sent back.
pub fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let line = answer.header("set-cookie")?;
    let pair = line.split(';').next()?;
    pair.starts_with(&format!("{name}=")).then(|| pair.to_owned())
}

/// A way to a provider that has begun.
pub struct Way {
    pub url: String,
    pub half: String,
}

impl Way {
    /// Begins a sign-in.
    pub async fn begin(t: &TestApp, start: &str) -> Self {
        let begun = t.anonymous().get(start).await.expect(303);
        Self {
            url: begun.header("location").unwrap().to_owned(),
            half: cookie(&begun, "strongroom-sso").unwrap(),
        }
    }

    /// Goes to the provider, and comes back with the path that it leads to here.
    pub async fn there(&self, t: &TestApp) -> String {
        let browser = reqwest::Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let mut url = self.url.clone();
        for _ in 0..10 {
            if let Some(path) = url.strip_prefix(&t.url) {
                return path.to_owned();
            }
            let answer = browser.get(&url).send().await.unwrap();
            let location = answer
                .headers()
                .get("location")
                .map(|to| to.to_str().unwrap().to_owned());
            let here = answer.url().clone();
            url = match location {
                Some(to) => here.join(&to).unwrap().to_string(),
                None => panic!(
                    "{here} leads nowhere: {} {}",
                    answer.status(),
                    answer.text().await.unwrap()
                ),
            };
        }
        panic!("{url} goes in circles");
    }

    /// Goes there and back.
    pub async fn there_and_back(&self, t: &TestApp) -> Answer {
        let path = self.there(t).await;
        self.back(&t.anonymous(), &path).await
    }

    /// Comes back in the browser that began.
    pub async fn back(&self, client: &Client, path: &str) -> Answer {
        client.with("Cookie", &self.half).get(path).await
    }
}

/// Signs in with the instance's provider.
pub async fn sign_in(t: &TestApp) -> Answer {
    let way = Way::begin(t, &format!("{INSTANCE}/start")).await;
    way.there_and_back(t).await
}

/// The client of the session that a sign-in opened.
pub fn session(t: &TestApp, answer: &Answer) -> Client {
    let cookie = cookie(answer, "strongroom").expect("a session");
    t.anonymous().cookie(cookie.split_once('=').unwrap().1)
}
