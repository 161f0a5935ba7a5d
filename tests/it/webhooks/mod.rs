//! Webhooks and their deliveries, and the feed of the same events.

pub mod catalogue;
mod deliveries;
mod egress;
mod endpoints;
mod feed;
mod health;
mod lanes;
mod libraries;
mod queue;
mod recovering;
mod resending;
mod retries;
mod rotation;
mod testing;

use harness::{Answer, Org};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The URL of a receiver that says this to everything, and closes the connection.
async fn says(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // All of a request fits: closing with bytes unread would reset the connection.
            let mut request = vec![0; 64 * 1024];
            let mut read = 0;
            while !is_whole(&request[..read]) {
                match stream.read(&mut request[read..]).await {
                    Ok(more) if more > 0 => read += more,
                    Ok(_) | Err(_) => break,
                }
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    url
}

/// Whether a request has arrived to the end of its body.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| length.parse() == Ok(body.len()))
}

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
