//! The calls of a history, each noted with when it began and ended, and what its caller was told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use harness::{Client, EnvPath, Project};
use serde_json::{Value, json};

use super::checker::{Call, Seen, What, Written};

pub const KEYS: usize = 20;
pub const COUNTERS: usize = 2;
/// Keys that always get one value, together.
const TOGETHER: usize = 5;
/// Stands for the environment's revision, which every change counts up like a version.
const REVISION: &str = "the revision";

pub fn single(index: usize) -> String {
    format!("KEY_{index:02}")
}

pub fn counter(index: usize) -> String {
    format!("COUNTER_{index}")
}

/// Keys that are stored together, and keys that are promoted together.
pub fn together(kind: &str) -> Vec<String> {
    (0..TOGETHER).map(|index| format!("{kind}_{index}")).collect()
}

fn number(answer: &Value, name: &str) -> u64 {
    let number = answer[name].as_u64();
    number.unwrap_or_else(|| panic!("no {name}: {answer}"))
}

/// The value that is version `n` of what is to be promoted.
pub fn staged(n: u64) -> String {
    format!("staged {n}")
}

/// What all callers share.
pub struct Field {
    pub client: Client,
    pub project: Project,
    production: EnvPath,
    began: Instant,
    pub calls: Mutex<Vec<Call>>,
    /// The last version that somebody was told of each key.
    pub known: [AtomicU64; KEYS],
    /// How often each counter was counted up.
    pub increments: [AtomicU64; COUNTERS],
    next: AtomicU64,
    pub is_over: AtomicBool,
}

impl Field {
    pub fn new(client: Client, project: Project) -> Self {
        Self {
            client,
            production: project.env("production"),
            project,
            began: Instant::now(),
            calls: Mutex::default(),
            known: Default::default(),
            increments: Default::default(),
            next: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    /// Nanoseconds since the beginning.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("some hours at most")
    }

    /// Notes what a call came to, which has ended now.
    fn note(&self, invoked: u64, what: What) {
        let returned = self.now();
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(Call {
            invoked,
            returned,
            what,
        });
    }

    /// Notes a change with the revision that it made.
    fn note_written(&self, invoked: u64, mut written: Vec<Written>, revision: u64) {
        written.push(Written {
            key: REVISION.to_owned(),
            version: revision,
            value: String::new(),
            expected: None,
        });
        self.note(invoked, What::Wrote(written));
    }

    /// A value that nobody else stores.
    pub fn fresh(&self) -> String {
        format!("value {}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The version, unless another one was expected.
    pub async fn put(&self, key: &str, value: String, expected: Option<u64>) -> Option<u64> {
        let body = match expected {
            None => json!({ "value": value }),
            Some(expected) => json!({ "value": value, "expected_version": expected }),
        };
        let invoked = self.now();
        let answer = self.client.put(&self.production.secret(key), body).await;
        let (status, json) = (answer.status(), answer.json());
        let key = key.to_owned();
        match (status, expected) {
            (200 | 201, _) => {
                let version = number(&json, "version");
                let written = Written {
                    key,
                    version,
                    value,
                    expected,
                };
                self.note_written(invoked, vec![written], number(&json, "revision"));
                Some(version)
            }
            (412, Some(expected)) => {
                let current = number(&json, "current_version");
                self.note(invoked, What::Refused { key, expected, current });
                None
            }
            _ => panic!("{key}: {}", answer.text()),
        }
    }

    /// Version and value of one key.
    pub async fn read(&self, key: &str) -> (u64, String) {
        let invoked = self.now();
        let answer = self.client.get(&self.production.secret(key)).await;
        let (version, value) = match answer.status() {
            404 => (0, String::new()),
            _ => (
                number(&answer.clone().expect(200).json(), "version"),
                answer.at("/value"),
            ),
        };
        let seen = Seen {
            key: key.to_owned(),
            version,
            value: value.clone(),
        };
        self.note(invoked, What::Read(vec![seen]));
        (version, value)
    }

    /// One value for several keys.
    pub async fn store_together(&self) {
        let value = self.fresh();
        let secrets: Value = together("STORED").into_iter().map(|key| (key, json!(value))).collect();
        let path = format!("{}/bulk", self.production.0);
        let invoked = self.now();
        let answer = self
            .client
            .post(&path, json!({ "secrets": secrets }))
            .await
            .expect(200)
            .json();
        let results = answer["results"].as_array().expect("results");
        assert_eq!(results.len(), TOGETHER);
        let written = results.iter().map(|result| Written {
            key: result["key"].as_str().expect("a key").to_owned(),
            version: number(result, "version"),
            value: value.clone(),
            expected: None,
        });
        self.note_written(invoked, written.collect(), number(&answer, "revision"));
    }

    /// Makes a key; tells whether nobody else did.
    pub async fn make(&self, key: &str, value: u64) -> bool {
        let body = json!({ "key": key, "value": value.to_string() });
        let invoked = self.now();
        let answer = self.client.post(&self.production.secrets(), body).await;
        if answer.code() == "key_taken" {
            return false;
        }
        let json = answer.expect(201).json();
        let written = Written {
            key: key.to_owned(),
            version: number(&json, "version"),
            value: value.to_string(),
            expected: Some(0),
        };
        self.note_written(invoked, vec![written], number(&json, "revision"));
        true
    }

    /// Everything, at one moment.
    pub async fn pull(&self) {
        let invoked = self.now();
        let answer = self.client.get(&self.production.secrets()).await.expect(200).json();
        let data = answer["data"].as_array().expect("data");
        let seen_of = |key: String| {
            let entry = data.iter().find(|entry| entry["key"] == key.as_str());
            Seen {
                version: entry.map_or(0, |entry| number(entry, "version")),
                value: entry
                    .map_or("", |entry| entry["value"].as_str().expect("a value"))
                    .to_owned(),
                key,
            }
        };
        let alone = (0..KEYS).map(single).chain((0..COUNTERS).map(counter));
        let groups = [together("STORED"), together("PROMOTED")];
        for group in &groups {
            let values: Vec<_> = group.iter().map(|key| seen_of(key.clone()).value).collect();
            assert!(
                values.windows(2).all(|pair| pair[0] == pair[1]),
                "one value for all: {values:?}"
            );
        }
        let mut seen: Vec<_> = alone.chain(groups.into_iter().flatten()).map(seen_of).collect();
        seen.push(Seen {
            key: REVISION.to_owned(),
            version: number(&answer, "revision"),
            value: String::new(),
        });
        self.note(invoked, What::Read(seen));
    }

    /// Carries over what staging holds at that moment.
    pub async fn promote(&self) {
        let body = json!({ "from": "staging", "to": "production" });
        let path = format!("{}/promote", self.project.path);
        let invoked = self.now();
        let answer = self.client.post(&path, body).await.expect(200);
        let json = answer.json();
        if json["applied"] == false {
            return;
        }
        let changes = json["changes"].as_array().expect("changes");
        assert_eq!(changes.len(), TOGETHER, "all of them or none: {}", answer.text());
        let written = changes.iter().map(|change| Written {
            key: change["key"].as_str().expect("a key").to_owned(),
            version: change["target_version"].as_u64().unwrap_or_default() + 1,
            value: staged(number(change, "source_version")),
            expected: None,
        });
        self.note_written(invoked, written.collect(), number(&json, "target_revision"));
    }
}
