//! Webhooks and their deliveries, and the feed of the same events.

mod catalogue;
mod deliveries;
mod egress;
mod endpoints;
mod feed;
mod health;
mod lanes;
mod recovering;
mod resending;
mod retries;
mod rotation;
mod testing;

use harness::{Answer, Org};
use serde_json::{Value, json};

/// A webhook for all events, and more.
async fn hook(acme: &Org<'_>, url: &str, more: Value) -> Answer {
    let mut body = json!({ "url": url, "events": ["*"] });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    acme.owner.post(&acme.path("/webhooks"), body).await.expect(201)
}

/// `/v1/orgs/acme/webhooks/whk_…` and what follows.
fn path(acme: &Org<'_>, hook: &Answer, rest: &str) -> String {
    acme.path(&format!("/webhooks/{}{rest}", hook.at("/id")))
}

/// The deliveries of a webhook, newest first.
async fn deliveries(acme: &Org<'_>, hook: &Answer) -> Vec<Value> {
    let list = acme
        .owner
        .get(&path(acme, hook, "/deliveries?limit=100"))
        .await
        .expect(200);
    list.json()["data"].as_array().cloned().unwrap_or_default()
}

/// Waits until the newest delivery has made `attempts` attempts and stands so.
async fn expect_state(acme: &Org<'_>, hook: &Answer, state: &str, attempts: usize) -> Value {
    harness::app::eventually(&format!("{state} after {attempts}"), || async {
        deliveries(acme, hook).await.first().is_some_and(|newest| {
            newest["state"] == state && newest["attempts"].as_array().is_some_and(|made| made.len() == attempts)
        })
    })
    .await;
    deliveries(acme, hook).await.first().cloned().unwrap_or_default()
}
