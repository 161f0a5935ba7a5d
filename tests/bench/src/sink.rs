//! A receiver of webhooks that does next to nothing: counts, checks every hundredth delivery, and notes when each
//! arrived while it is asked to.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::kernel::Timestamp;
use harness::receiver::Received;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;

/// One delivery in so many is checked.
const CHECK_EVERY: u64 = 100;
/// Longest wait without a delivery.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Default)]
struct State {
    count: AtomicU64,
    wrong: Mutex<Option<String>>,
    first: Mutex<Option<Instant>>,
    sample: Mutex<Bytes>,
    /// Signing secret by path; deliveries to other paths are not checked.
    secrets: Mutex<HashMap<String, String>>,
    keeps: AtomicBool,
    arrivals: Mutex<Vec<(i64, Instant)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running sink, for as long as this process lives.
pub struct Sink {
    /// `http://127.0.0.1:41234`
    pub url: String,
    state: Arc<State>,
}

impl Sink {
    pub async fn start() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(State::default());
        let shared = state.clone();
        tokio::spawn(async move {
            loop {
                if let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, shared.clone()));
                }
            }
        });
        Ok(Self { url, state })
    }

    /// From now on deliveries to this path must be signed with this secret.
    pub fn expect(&self, path: &str, secret: &str) {
        lock(&self.state.secrets).insert(path.to_owned(), secret.to_owned());
    }

    /// Begins anew.
    pub fn reset(&self) {
        self.state.count.store(0, Ordering::SeqCst);
        *lock(&self.state.first) = None;
        lock(&self.state.arrivals).clear();
    }

    /// Notes the revision of each event and when it came, or stops doing so.
    pub fn keep_arrivals(&self, keep: bool) {
        self.state.keeps.store(keep, Ordering::SeqCst);
    }

    pub fn arrivals(&self) -> Vec<(i64, Instant)> {
        lock(&self.state.arrivals).clone()
    }

    /// A body that was delivered.
    pub fn sample(&self) -> Bytes {
        lock(&self.state.sample).clone()
    }

    /// When the first delivery since the reset came.
    pub fn first(&self) -> Option<Instant> {
        *lock(&self.state.first)
    }

    /// Waits for so many deliveries.
    pub async fn wait_for(&self, count: u64) -> Outcome<()> {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            let now = self.state.count.load(Ordering::SeqCst);
            self.check()?;
            if now >= count {
                return Ok(());
            }
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("{now} of {count} deliveries arrived, and then none").into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Fails when a wrong delivery arrived.
    pub fn check(&self) -> Outcome<()> {
        match lock(&self.state.wrong).take() {
            Some(wrong) => Err(format!("a wrong delivery, the run is void: {wrong}").into()),
            None => Ok(()),
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| take(state.clone(), request));
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn take(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let at = Instant::now();
    // Noted before it is counted: whoever waits for the last one finds it noted.
    if state.keeps.load(Ordering::Relaxed) {
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let revision = json
            .pointer("/data/revision")
            .and_then(Value::as_i64)
            .unwrap_or_default();
        lock(&state.arrivals).push((revision, at));
    }
    let n = state.count.fetch_add(1, Ordering::SeqCst);
    if n == 0 {
        *lock(&state.first) = Some(at);
        lock(&state.sample).clone_from(&body);
    }
    if n.is_multiple_of(CHECK_EVERY) {
        let secret = lock(&state.secrets).get(head.uri.path()).cloned();
        if let Some(secret) = secret
            && !is_right(&head.headers, &body, &secret)
        {
            *lock(&state.wrong) = Some(String::from_utf8_lossy(&body).into_owned());
        }
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Signed, and about a secret.
fn is_right(headers: &hyper::HeaderMap, body: &Bytes, secret: &str) -> bool {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers: BTreeMap<String, String> = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect();
    let received = Received {
        headers,
        body: body.clone(),
        at: Timestamp(0),
    };
    let json = received.json();
    let about = json.pointer("/type").and_then(Value::as_str).unwrap_or_default();
    about.starts_with("secret.")
        && json.pointer("/data/keys/0/key").is_some_and(Value::is_string)
        && received.is_signed_with(secret)
}
