//! A collector of traces that other people wrote: it reads what arrives with OpenTelemetry's own library for Python.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::app::eventually;
use crate::packages;

const PYPI: [&str; 2] = ["opentelemetry-proto==1.45.2", "protobuf==7.36.2"];

/// A running collector; it ends when dropped.
pub struct Collector {
    /// Where it listens, as it said itself: `http://127.0.0.1:41234`.
    pub url: String,
    said: Arc<Mutex<Vec<Value>>>,
    process: Child,
}

impl Collector {
    /// Starts it. Its packages lie in a folder that outlives the run.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(packages: &Path) -> Self {
        packages::install(packages, &[], &PYPI);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/collector.py");
        let mut process = Command::new(packages.join("venv/bin/python"))
            .arg(script)
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the collector");
        let mut lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let url = lines.next().expect("it says where it listens").expect("a line");
        let said: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("JSON");
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { url, said, process }
    }

    fn said(&self) -> Vec<Value> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The requests that arrived, with the header that proves who sends.
    pub fn requests(&self) -> Vec<Value> {
        self.said()
            .into_iter()
            .filter(|line| line["path"].is_string())
            .collect()
    }

    /// The spans in them.
    pub fn spans(&self) -> Vec<Value> {
        self.said()
            .into_iter()
            .filter(|line| line["trace"].is_string())
            .collect()
    }

    /// The spans of a name.
    pub fn named(&self, name: &str) -> Vec<Value> {
        self.spans().into_iter().filter(|span| span["name"] == name).collect()
    }

    /// Everything that arrived, byte for byte.
    ///
    /// # Panics
    /// When the collector says what is no base64.
    pub fn bytes(&self) -> Vec<u8> {
        let bodies = self.requests().into_iter().map(|request| {
            let body = request["body"].as_str().unwrap_or_default();
            BASE64_STANDARD.decode(body).expect("base64")
        });
        bodies.collect::<Vec<_>>().concat()
    }

    /// Waits for a span of a name and returns the first.
    ///
    /// # Panics
    /// When there is none within ten seconds.
    pub async fn span(&self, name: &str) -> Value {
        eventually(name, || async { !self.named(name).is_empty() }).await;
        self.named(name).remove(0)
    }

    /// Ends it: nobody listens there any more.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop();
    }
}
