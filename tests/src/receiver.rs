//! A receiver of webhooks on loopback: keeps what it gets and answers as it is told.
#![expect(clippy::expect_used, reason = "harness: a failure ends the test")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::kernel::{Clock, Timestamp};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::app::eventually;

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: BTreeMap<String, String>,
    pub body: Bytes,
    /// When it had arrived whole, by the wall clock.
    pub at: Timestamp,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The signatures of a kind, `v1` or `v1a`, in base64.
    pub fn signatures(&self, kind: &str) -> Vec<&str> {
        let all = self.header("webhook-signature").split(' ');
        all.filter_map(|one| one.split_once(','))
            .filter(|(version, _)| *version == kind)
            .map(|(_, signature)| signature)
            .collect()
    }

    /// Whether one of the `v1a` signatures is by the private half of a public key, `whpk_…`.
    pub fn is_signed_by(&self, public_key: &str) -> bool {
        let encoded = public_key.strip_prefix("whpk_").unwrap_or_default();
        let verifier = UnparsedPublicKey::new(&ED25519, STANDARD.decode(encoded).unwrap_or_default());
        let head = format!("{}.{}.", self.header("webhook-id"), self.header("webhook-timestamp"));
        let message = [head.as_bytes(), self.body.as_ref()].concat();
        let fits = |text: &&str| {
            STANDARD
                .decode(text)
                .is_ok_and(|one| verifier.verify(&message, &one).is_ok())
        };
        self.signatures("v1a").iter().any(fits)
    }

    /// Whether one of the `v1` signatures is right, by the official library.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let Ok(verifier) = standardwebhooks::Webhook::new(secret) else {
            return false;
        };
        let mut headers = hyper::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let Ok(value) = self.header(name).parse() else {
                return false;
            };
            headers.insert(name, value);
        }
        verifier.verify(&self.body, &headers).is_ok()
    }
}

/// How the receiver answers.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    pub status: u16,
    pub delay: Duration,
}

struct State {
    received: Mutex<Vec<Received>>,
    manner: Mutex<Manner>,
}

/// A running receiver; it ends when dropped.
pub struct Receiver {
    /// Where it listens: `http://127.0.0.1:41234/hook`.
    pub url: String,
    state: Arc<State>,
    _guard: DropGuard,
}

impl Receiver {
    /// One that answers 204 at once.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let manner = Mutex::new(Manner {
            status: 204,
            delay: Duration::ZERO,
        });
        let state = Arc::new(State {
            received: Mutex::default(),
            manner,
        });
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, state.clone(), stop.clone()));
        Self {
            url: format!("http://{address}/hook"),
            state,
            _guard: stop.drop_guard(),
        }
    }

    /// From now on answers like this.
    pub fn answer(&self, status: u16, delay: Duration) {
        *self.state.manner.lock().unwrap_or_else(PoisonError::into_inner) = Manner { status, delay };
    }

    /// Everything that arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.state
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for `count` requests and returns them all.
    ///
    /// # Panics
    /// When fewer arrive within ten seconds.
    pub async fn expect(&self, count: usize) -> Vec<Received> {
        eventually("deliveries arrive", || async { self.received().len() >= count }).await;
        self.received()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else { continue };
        let (state, stop) = (state.clone(), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| take(state.clone(), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = connection => {}
            }
        });
    }
}

async fn take(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.as_str().to_owned(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    let at = Clock::system().now();
    let manner = *state.manner.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::time::sleep(manner.delay).await;
    state
        .received
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Received { headers, body, at });
    let mut response = Response::new(Full::new(Bytes::from_static(b"seen")));
    *response.status_mut() = hyper::StatusCode::from_u16(manner.status).unwrap_or(hyper::StatusCode::OK);
    Ok(response)
}
