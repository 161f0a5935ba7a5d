//! Whole walks with the real binaries, as a newcomer takes them.

mod dotenv;
mod quick_start;
mod scaled;
mod setup;

use std::collections::BTreeMap;
use std::process::Command;

use harness::Receiver;
use harness::processes::Tenant;
use serde_json::{Value, json};

/// What a real project keeps in its `.env`.
const ENV_FILE: &str = include_str!("../../fixtures/acme.env");

/// Stores every entry of a file.
async fn store(tenant: &Tenant, entries: &BTreeMap<String, String>) {
    for (key, value) in entries {
        let path = format!("{}{key}", tenant.secrets);
        let put = tenant.client.put(&path, json!({ "value": value })).await.expect(201);
        assert_eq!(put.at("/version"), "1", "{key}");
    }
}

/// The production secrets as another program reads them: curl, with a personal token.
fn read_with_curl(url: &str, tenant: &Tenant, token: &str) -> BTreeMap<String, String> {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--fail-with-body", "--noproxy", "*"])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .arg(format!("{url}{}", tenant.secrets.trim_end_matches('/')))
        .output()
        .expect("curl is installed");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text} {complaint}");
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let entry = |entry: &Value| {
        let text = |name: &str| entry[name].as_str().expect("a text").to_owned();
        (text("key"), text("value"))
    };
    answer["data"].as_array().expect("a list").iter().map(entry).collect()
}

/// A personal token that may only read, made for the deployment.
async fn reading_token(tenant: &Tenant) -> String {
    let body = json!({ "name": "deployment", "scopes": ["secrets:read@prod"], "org": tenant.org_id.to_string() });
    tenant
        .person
        .post("/v1/auth/tokens", body)
        .await
        .expect(201)
        .at("/token")
}

/// Asserts that each stored entry was delivered once, signed, and without its value.
async fn assert_delivered(receiver: &Receiver, tenant: &Tenant, entries: &BTreeMap<String, String>) {
    // One more: the project.
    let arrived = receiver.expect(entries.len() + 1).await;
    assert!(arrived.iter().all(|one| one.is_signed_with(&tenant.signing_secret)));
    let keys: Vec<String> = arrived
        .iter()
        .map(harness::receiver::Received::json)
        .filter(|event| event["type"] == "secret.created")
        .map(|event| event["data"]["keys"][0]["key"].as_str().expect("a key").to_owned())
        .collect();
    assert_eq!(keys.len(), entries.len(), "each entry once");
    for key in entries.keys() {
        assert!(keys.contains(key), "{key}");
    }
    let bodies: String = arrived
        .iter()
        .map(|one| String::from_utf8_lossy(&one.body).into_owned())
        .collect();
    for value in entries.values().filter(|value| value.len() > 12) {
        assert!(!bodies.contains(value.as_str()), "a value left with a webhook");
    }
}
