//! The listener, and the state that all requests share.

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::Options;
use crate::delivery::Manner;
use crate::dispatch::{self, Asked, Failure, Kept};
use crate::world::World;

/// What one request after the other works on.
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) manner: Manner,
    pub(crate) failures: VecDeque<Failure>,
    /// Answers by idempotency key.
    pub(crate) kept: HashMap<String, Kept>,
    /// Requests that were seen.
    pub(crate) log: Vec<Value>,
}

impl State {
    pub(crate) fn new(base: &str, now: i64) -> Self {
        Self {
            world: World::new(base, now),
            manner: Manner::default(),
            failures: VecDeque::new(),
            kept: HashMap::new(),
            log: Vec::new(),
        }
    }
}

/// The double behind its listener.
pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) on_the_way: AtomicUsize,
    base: String,
    endpoint: Mutex<Option<Url>>,
    state: Mutex<State>,
}

impl Inner {
    pub(crate) fn new(options: Options, base: &str) -> Self {
        let now = (options.wall_clock)();
        Self {
            options,
            on_the_way: AtomicUsize::new(0),
            base: base.to_owned(),
            endpoint: Mutex::new(None),
            state: Mutex::new(State::new(base, now)),
        }
    }

    pub(crate) fn set_endpoint(&self, url: Url) {
        *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(url);
    }

    pub(crate) fn endpoint(&self) -> Option<Url> {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Works on the state as it is now: what fell due meanwhile happens first, and what happens is sent.
    pub(crate) fn with<T>(self: &Arc<Self>, work: impl FnOnce(&mut State) -> T) -> T {
        let wall = (self.options.wall_clock)();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = wall + state.world.offset;
        state.world.run_until(now);
        let done = work(&mut state);
        self.send_fresh(&mut state);
        done
    }

    /// As at the start.
    pub(crate) fn reset(&self, state: &mut State) {
        *state = State::new(&self.base, (self.options.wall_clock)());
    }
}

/// What a request is answered with.
pub(crate) enum Reply {
    Json {
        status: u16,
        body: Value,
        replayed: bool,
    },
    Html {
        status: u16,
        text: String,
    },
    GoTo(String),
    /// Comes too late for anybody.
    Late(Box<Reply>),
    /// The connection closes.
    Closed,
}

/// The connection ends without an answer.
#[derive(Debug)]
struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the double closes the connection")
    }
}

impl Error for Closed {}

pub(crate) async fn accept(listener: TcpListener, inner: Arc<Inner>, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = stream else { continue };
        let (inner, stop) = (inner.clone(), stop.clone());
        tokio::spawn(async move {
            let service = service_fn(|request| serve(inner.clone(), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                _ = connection => {}
            }
        });
    }
}

async fn serve(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let header = |name: &str| {
        let value = head.headers.get(name);
        value.and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: header("authorization"),
        version: header("stripe-version"),
        key: header("idempotency-key"),
        content_type: header("content-type"),
        body,
    };
    let mut reply = dispatch::reply(&inner, &asked).await;
    if let Reply::Late(real) = reply {
        tokio::time::sleep(Duration::from_mins(1)).await;
        reply = *real;
    }
    response(reply)
}

fn response(reply: Reply) -> Result<Response<Full<Bytes>>, Closed> {
    let (status, kind, body, replayed) = match reply {
        Reply::Json { status, body, replayed } => (status, "application/json", body.to_string(), replayed),
        Reply::Html { status, text } => (status, "text/html; charset=utf-8", text, false),
        Reply::GoTo(place) => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::SEE_OTHER;
            let place = HeaderValue::from_str(&place).map_err(|_| Closed)?;
            response.headers_mut().insert(LOCATION, place);
            return Ok(response);
        }
        Reply::Late(_) | Reply::Closed => return Err(Closed),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| Closed)?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert("request-id", HeaderValue::from_static("req_double"));
    if replayed {
        headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}
