//! What superusers see of the instance and change in it, and what they never see.

mod instance;
mod invites;
mod jobs;
mod last;
mod members;
mod projects;
mod sight;
mod users;

use harness::{Answer, Person, TestApp};
use serde_json::Value;

/// Somebody who looks after the instance.
async fn root(t: &TestApp) -> Person {
    superuser(t, "root").await
}

/// Another of them.
async fn superuser(t: &TestApp, name: &str) -> Person {
    let person = t.person(name).await;
    t.sql(&format!(
        "UPDATE users SET is_superuser = TRUE WHERE first_name = '{name}'"
    ))
    .await;
    person
}

/// One field of each entry of a list.
fn column(list: &Answer, field: &str) -> Vec<String> {
    let list = list.json();
    let entries = list["data"].as_array().cloned().unwrap_or_default();
    let text = |entry: &Value| match &entry[field] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    entries.iter().map(text).collect()
}

/// The newest event of an audit log: what was done, and by what kind of actor.
async fn newest(by: &Person, log: &str) -> (String, String, String) {
    let log = by.get(&format!("{log}?limit=1")).await.expect(200);
    (
        log.at("/data/0/action"),
        log.at("/data/0/actor/type"),
        log.at("/data/0/actor/email"),
    )
}

/// What a superuser's act looks like there.
fn told(action: &str) -> (String, String, String) {
    (action.to_owned(), "superuser".to_owned(), "root@example.com".to_owned())
}
