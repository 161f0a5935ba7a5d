//! Events on their way to the webhook endpoint, and all that may befall them there.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use url::Url;

use crate::fault::Fault;
use crate::objects;
use crate::server::{Inner, State};
use crate::sign;
use crate::world::Event;

/// How events are sent.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    /// Whether they are sent by themselves.
    pub(crate) sends: bool,
    duplicate: u64,
    delay: Duration,
    api_version: Option<String>,
    sign_with: Vec<String>,
    age: i64,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            sends: true,
            duplicate: 1,
            delay: Duration::ZERO,
            api_version: None,
            sign_with: Vec::new(),
            age: 0,
        }
    }
}

impl Manner {
    pub(crate) fn parse(body: &Value) -> Result<Self, Fault> {
        let sends = match body["mode"].as_str() {
            None | Some("send") => true,
            Some("hold" | "drop") => false,
            Some(other) => return Err(Fault::request(format!("no mode of delivery: {other}"))),
        };
        let sign_with = match &body["sign_with"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
        };
        Ok(Self {
            sends,
            duplicate: body["duplicate"].as_u64().unwrap_or(1),
            delay: Duration::from_millis(body["delay_ms"].as_u64().unwrap_or(0)),
            api_version: body["api_version"].as_str().map(str::to_owned),
            sign_with,
            age: body["age_seconds"].as_i64().unwrap_or(0),
        })
    }
}

/// The same numbers give the same order.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for last in (1..items.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let pick = usize::try_from(state >> 33).expect("31 bits") % (last + 1);
        items.swap(last, pick);
    }
}

impl Inner {
    /// Sends what has just happened, if it is sent by itself.
    pub(crate) fn send_fresh(self: &Arc<Self>, state: &mut State) {
        let fresh = std::mem::take(&mut state.world.fresh);
        if !state.manner.sends || fresh.is_empty() || self.endpoint().is_none() {
            return;
        }
        let events: Vec<Event> = fresh
            .iter()
            .filter_map(|id| state.world.events.get(id))
            .cloned()
            .collect();
        let (inner, manner) = (self.clone(), state.manner.clone());
        self.on_the_way.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            for event in events {
                inner.deliver(&event, &manner).await;
            }
            inner.on_the_way.fetch_sub(1, Ordering::SeqCst);
        });
    }

    pub(crate) fn sending(&self) -> bool {
        self.on_the_way.load(Ordering::SeqCst) > 0
    }

    /// Sends events and tells what was answered.
    pub(crate) async fn emit(self: &Arc<Self>, body: &Value) -> Result<Value, Fault> {
        let manner = Manner::parse(body)?;
        let mut events = self.with(|state| -> Result<Vec<Event>, Fault> {
            let all = &state.world.events;
            match body["events"].as_array() {
                None => Ok(all
                    .values()
                    .filter(|event| !event.delivered)
                    .cloned()
                    .collect::<Vec<_>>()),
                Some(ids) => ids
                    .iter()
                    .map(|id| {
                        let id = id.as_str().unwrap_or_default();
                        all.get(id)
                            .cloned()
                            .ok_or_else(|| Fault::missing("event", id, "events"))
                    })
                    .collect(),
            }
        })?;
        if body["reorder"] == true {
            events.reverse();
        }
        if let Some(seed) = body["shuffle"].as_u64() {
            shuffle(&mut events, seed);
        }
        let mut answers = Vec::new();
        for event in events {
            for status in self.deliver(&event, &manner).await {
                answers.push(json!({ "event": event.id, "status": status }));
            }
        }
        Ok(json!({ "answers": answers }))
    }

    /// Sends one event as often as asked; the statuses, 0 for no answer.
    async fn deliver(self: &Arc<Self>, event: &Event, manner: &Manner) -> Vec<u16> {
        tokio::time::sleep(manner.delay).await;
        let Some(endpoint) = self.endpoint() else {
            return Vec::new();
        };
        let mut shown = objects::event(event);
        if let Some(version) = &manner.api_version {
            shown["api_version"] = json!(version);
        }
        let body = serde_json::to_vec_pretty(&shown).expect("an event is JSON");
        let at = (self.options.wall_clock)() - manner.age;
        let own = [self.options.webhook_secret.as_str()];
        let secrets: Vec<&str> = manner.sign_with.iter().map(String::as_str).collect();
        let secrets = if secrets.is_empty() { &own[..] } else { &secrets[..] };
        let signature = sign::header(&body, at, secrets);
        let mut statuses = Vec::new();
        for _ in 0..manner.duplicate {
            let sent = post(&endpoint, &signature, Bytes::from(body.clone()));
            let sent = tokio::time::timeout(Duration::from_secs(20), sent).await;
            let status = sent.ok().flatten().unwrap_or(0);
            statuses.push(status);
            if (200..300).contains(&status) {
                self.with(|state| {
                    if let Some(event) = state.world.events.get_mut(&event.id) {
                        event.delivered = true;
                    }
                });
            }
        }
        statuses
    }
}

/// One request over plain HTTP; the status of the answer.
async fn post(url: &Url, signature: &str, body: Bytes) -> Option<u16> {
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    let stream = TcpStream::connect((host, port)).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    let request = Request::post(url.path())
        .header(HOST, format!("{host}:{port}"))
        .header(CONTENT_TYPE, "application/json; charset=utf-8")
        .header(USER_AGENT, "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("stripe-signature", signature)
        .body(Full::new(body))
        .ok()?;
    let answer = sender.send_request(request).await.ok()?;
    Some(answer.status().as_u16())
}
