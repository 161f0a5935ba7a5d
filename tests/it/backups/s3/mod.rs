//! Backups in a bucket. The store is moto of PyPI behind a gate that checks every signature with botocore, Amazon's own
//! signer: one for all tests of this process, with a bucket for each.

mod by_command;
mod keeping;
mod refusing;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;

use domain::backups::Plan;
use domain::kernel::config::Config;
use harness::app::{Options, fresh_root_key};
use harness::processes::within;
use harness::servers::{bound_to_us, spawn_for_life};
use harness::{Answer, Backend, Client, TestApp, packages};
use serde_json::{Value, json};

use super::BACKUPS;

const PYPI: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];
const ACCESS_KEY: &str = "AKIDSTRONGROOM";
const SECRET_KEY: &str = "s3cr3t/of+the=store";
const REGION: &str = "eu-test-1";
const PREFIX: &str = "acme/strongroom/";
/// How long a backup of many megabytes may take in a build that is not optimised.
const LONG: Duration = Duration::from_mins(2);

/// Starts the store once; returns its URL.
fn store() -> &'static str {
    static STORE: OnceLock<String> = OnceLock::new();
    STORE.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto");
        packages::install(&dir, &[], &PYPI);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/object_store.py");
        let mut command = bound_to_us(&dir.join("venv/bin/python"), "KILL");
        command.arg(script).args([ACCESS_KEY, SECRET_KEY, REGION]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = spawn_for_life(command).expect("start Python");
        let said = child.stdout.take().expect("its output");
        let mut url = String::new();
        BufReader::new(said).read_line(&mut url).expect("where it listens");
        assert!(url.starts_with("http://127.0.0.1:"), "the store did not start: {url}");
        // It ends with us.
        std::thread::spawn(move || child.wait());
        url.trim().to_owned()
    })
}

/// A bucket of a test's own.
pub struct Bucket {
    pub url: &'static str,
    pub name: String,
    control: Client,
}

impl Bucket {
    pub async fn make() -> Self {
        let url = tokio::task::spawn_blocking(store).await.expect("the store");
        let bucket = Self {
            url,
            name: format!("acme-{}", uuid::Uuid::new_v4().simple()),
            control: Client::new(url),
        };
        bucket.tell(json!({ "bucket": true })).await;
        bucket
    }

    fn path(&self) -> String {
        format!("/_test/{}", self.name)
    }

    /// Tells the store something about this bucket; see the fixture.
    pub async fn tell(&self, what: Value) {
        self.control.post(&self.path(), what).await.expect(200).ok();
    }

    async fn list(&self, of: &str) -> Vec<String> {
        let said = self.control.get(&self.path()).await.expect(200).json();
        let texts = said[of].as_array().expect("a list");
        texts
            .iter()
            .map(|text| text.as_str().expect("a text").to_owned())
            .collect()
    }

    /// Keys of what is in it.
    pub async fn objects(&self) -> Vec<String> {
        self.list("objects").await
    }

    /// Uploads that nobody has ended.
    pub async fn uploads(&self) -> usize {
        self.list("uploads").await.len()
    }

    /// Requests so far that hold a text.
    pub async fn asked(&self, text: &str) -> usize {
        let all = self.list("requests").await;
        all.iter().filter(|request| request.contains(text)).count()
    }

    /// What the settings are in which backups go here.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let settings = [
            ("STRONGROOM_BACKUP_S3_ENDPOINT", self.url),
            ("STRONGROOM_BACKUP_S3_BUCKET", self.name.as_str()),
            ("STRONGROOM_BACKUP_S3_REGION", REGION),
            ("STRONGROOM_BACKUP_S3_PREFIX", PREFIX),
            ("STRONGROOM_BACKUP_S3_ACCESS_KEY", ACCESS_KEY),
            ("STRONGROOM_BACKUP_S3_SECRET_KEY", SECRET_KEY),
        ];
        let key = ("STRONGROOM_BACKUP_KEY", fresh_root_key());
        let settings = settings.map(|(name, value)| (name, value.to_owned()));
        settings.into_iter().chain([key]).collect()
    }
}

/// Settings with one of them changed.
pub fn with(settings: &[(&'static str, String)], name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    let others = settings.iter().filter(|(known, _)| *known != name).cloned();
    others.chain([(name, value.to_owned())]).collect()
}

/// How an instance with these settings is backed up, without the instance.
pub fn plan(settings: &[(&'static str, String)]) -> Plan {
    let env = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .chain([("STRONGROOM_DATABASE_URL".to_owned(), "postgres://db/acme".to_owned())]);
    let config = Config::load(env, |_| Err(std::io::ErrorKind::NotFound.into())).expect("a configuration");
    Plan::without_roots(&config).expect("a plan")
}

/// An application whose backups go there.
pub async fn start(backend: Backend, settings: &[(&'static str, String)]) -> TestApp {
    let options = settings.iter().fold(Options::new(backend), |options, (name, value)| {
        options.with(name, value.clone())
    });
    TestApp::start(options).await
}

/// Waits for as long as a large backup may take.
pub async fn until(by: &Client, id: &str, what: &str, holds: impl Fn(&Answer) -> bool) -> Answer {
    let path = format!("{BACKUPS}/{id}");
    within(LONG, what, || async { holds(&by.get(&path).await.expect(200)) }).await;
    by.get(&path).await.expect(200)
}

/// Whether a backup is made and proved.
pub fn is_proved(shown: &Answer) -> bool {
    shown.at("/state") == "completed" && !shown.at("/last_verified_at").is_empty()
}
