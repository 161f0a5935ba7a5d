//! Writers that go on while things break, and remember what they were told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::kernel::Db;
use harness::processes::Tenant;
use harness::{Answer, Client};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

/// Pause before a write is tried again.
const PAUSE: Duration = Duration::from_millis(10);
/// Tries of one write before the service is said not to come back.
const TRIES: usize = 3000;

/// What the writers share.
pub struct Load {
    tenant: Tenant,
    /// Where the API is now; it moves when it is started again.
    url: Mutex<String>,
    acknowledged: AtomicUsize,
    /// Tries that got no answer.
    unanswered: AtomicUsize,
    /// The statuses of refusals.
    refused: Mutex<Vec<u16>>,
    /// Versions acknowledged of each key.
    versions: Mutex<HashMap<String, i64>>,
    is_over: AtomicBool,
}

/// A write that was answered with a 2xx.
pub struct Acknowledged {
    key: String,
    value: String,
    version: i64,
}

impl Load {
    pub fn new(tenant: &Tenant, url: &str) -> Arc<Self> {
        Arc::new(Self {
            tenant: tenant.clone(),
            url: Mutex::new(url.to_owned()),
            acknowledged: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            refused: Mutex::default(),
            versions: Mutex::default(),
            is_over: AtomicBool::new(false),
        })
    }

    /// From now on the API is there.
    pub fn moves_to(&self, url: &str) {
        url.clone_into(&mut self.url.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A client of the tenant's, talking to where the API is now.
    pub fn client(&self) -> Client {
        let url = self.url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.tenant.at(&url).client
    }

    /// Keys with how many versions of them were acknowledged so far.
    pub fn versions(&self) -> Vec<(String, i64)> {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.iter().map(|(key, version)| (key.clone(), *version)).collect()
    }

    /// No more writes are begun.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Writes acknowledged so far.
    pub fn done(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Tries that broke off without an answer.
    pub fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// The statuses of the writes that were refused.
    pub fn refused(&self) -> Vec<u16> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts `writers` that make `each` writes, or fewer if the load ends before, each under one key of its own.
    pub fn start(self: &Arc<Self>, writers: usize, each: usize) -> JoinSet<Vec<Acknowledged>> {
        (0..writers)
            .map(|writer| {
                let load = self.clone();
                async move {
                    let mut acknowledged = Vec::new();
                    for n in 0..each {
                        if load.is_over() {
                            break;
                        }
                        let (key, value) = (format!("KEY_{writer}"), value(writer, n));
                        acknowledged.push(load.write(key, value).await);
                    }
                    acknowledged
                }
            })
            .collect()
    }

    /// Writes until it is acknowledged, under one idempotency key.
    async fn write(&self, key: String, value: String) -> Acknowledged {
        let idempotency = value.replace(' ', "-");
        for _ in 0..TRIES {
            let client = self.client().with("Idempotency-Key", &idempotency);
            let body = json!({ "value": value }).to_string().into_bytes();
            let path = format!("{}{key}", self.tenant.secrets);
            match client
                .try_send(Method::PUT, &path, Some(("application/json", body)))
                .await
            {
                Ok(answer) if answer.status() < 300 => {
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                    let version = version(&answer);
                    let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
                    versions.insert(key.clone(), version);
                    return Acknowledged { key, value, version };
                }
                Ok(answer) => self
                    .refused
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(answer.status()),
                Err(_) => {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("the service does not come back");
    }
}

/// The `n`-th value that a writer stores, counted from 0.
pub fn value(writer: usize, n: usize) -> String {
    format!("value {writer}/{n}")
}

fn version(answer: &Answer) -> i64 {
    answer.at("/version").parse().expect("a version")
}

/// Asserts that every acknowledged write is there as it was acknowledged, that a write that was repeated until it was
/// acknowledged was made once, and that the journal tells of each exactly once.
pub async fn assert_kept(tenant: &Tenant, db: &Db, writers: Vec<Vec<Acknowledged>>) {
    let told = tenant.journalled_versions(db).await;
    let mut expected = HashMap::new();
    for writes in writers {
        for (n, Acknowledged { key, value, version }) in writes.into_iter().enumerate() {
            // One writer has the key: each of its writes is the next version, however often it was sent.
            assert_eq!(usize::try_from(version).expect("a version"), n + 1, "{key}");
            let read = tenant
                .client
                .get(&format!("{}{key}?version={version}", tenant.secrets))
                .await
                .expect(200);
            assert_eq!(read.at("/value"), value, "{key}, version {version}");
            expected.insert((key, version), 1);
        }
    }
    assert_eq!(told, expected, "one event for each write");
}
