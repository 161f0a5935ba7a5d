//! What is asked for: the API with all that it is strict about, the control plane, the pages.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::API_VERSION;
use crate::fault::Fault;
use crate::form;
use crate::operations::Operation;
use crate::pages;
use crate::schema;
use crate::server::{Inner, Reply, State};

/// A request.
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
}

/// The answer that a key stands for.
pub(crate) struct Kept {
    /// Method, path and parameters; the order of names means nothing.
    asked: (String, String, Value),
    status: u16,
    body: Value,
}

/// How a call is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    TooMany,
    Broken,
    Unavailable,
    Html,
    Timeout,
    Refused,
}

impl Kind {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "429" => Self::TooMany,
            "500" => Self::Broken,
            "503" => Self::Unavailable,
            "html" => Self::Html,
            "timeout" => Self::Timeout,
            "refused" => Self::Refused,
            _ => return None,
        })
    }
}

/// One call that is to fail.
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// Of which path it is.
    pub(crate) prefix: String,
}

pub(crate) async fn reply(inner: &Arc<Inner>, asked: &Asked) -> Reply {
    if asked.path.starts_with("/v1/") {
        return inner.with(|state| api(inner, state, asked));
    }
    if let Some(name) = asked.path.strip_prefix("/_control/") {
        let body = if asked.body.is_empty() {
            Ok(json!({}))
        } else {
            serde_json::from_slice(&asked.body)
        };
        let done = match body {
            Ok(body) => inner.control(name, &body).await,
            Err(_) => Err(Fault::request("The body of a command is a JSON object.")),
        };
        return match done {
            Ok(body) => plain(200, body),
            Err(fault) => plain(fault.status, fault.body()),
        };
    }
    pages::reply(inner, asked)
}

fn plain(status: u16, body: Value) -> Reply {
    Reply::Json {
        status,
        body,
        replayed: false,
    }
}

fn api(inner: &Inner, state: &mut State, asked: &Asked) -> Reply {
    let failing = state
        .failures
        .iter()
        .position(|failure| asked.path.starts_with(&failure.prefix));
    let failure = failing
        .and_then(|at| state.failures.remove(at))
        .map(|failure| failure.kind);
    let before = match failure {
        Some(Kind::TooMany) => {
            let fault = Fault {
                code: Some("rate_limit"),
                ..Fault::of(
                    "invalid_request_error",
                    429,
                    "Too many requests hit the API too quickly.",
                )
            };
            Some(plain(429, fault.body()))
        }
        Some(Kind::Unavailable) => Some(plain(503, Fault::of("api_error", 503, "Try again later.").body())),
        Some(Kind::Html) => Some(Reply::Html {
            status: 502,
            text: "<html><head><title>502 Bad Gateway</title></head><body>proxy</body></html>".to_owned(),
        }),
        Some(Kind::Refused) => Some(Reply::Closed),
        Some(Kind::Broken | Kind::Timeout) | None => None,
    };
    let read = read(asked);
    let params = read
        .as_ref()
        .cloned()
        .unwrap_or_else(|message| json!({ "unreadable": message }));
    let sent = if let Some(reply) = before {
        reply
    } else {
        let reply = match read {
            Ok(params) => strict(inner, state, asked, params, failure == Some(Kind::Broken)),
            Err(message) => refused(&Fault::request(message)),
        };
        if failure == Some(Kind::Timeout) {
            Reply::Late(Box::new(reply))
        } else {
            reply
        }
    };
    let number = state.log.len() + 1;
    let (status, replayed) = seen(&sent);
    state.log.push(json!({
        "number": number,
        "method": asked.method,
        "path": asked.path,
        "params": params,
        "idempotency_key": asked.key,
        "status": status,
        "replayed": replayed,
    }));
    sent
}

/// What the log says of an answer: status 0 when nobody got one.
fn seen(reply: &Reply) -> (u16, bool) {
    match reply {
        Reply::Json {
            status,
            replayed,
            body: _,
        } => (*status, *replayed),
        Reply::Html { status, text: _ } => (*status, false),
        Reply::GoTo(_) => (303, false),
        Reply::Late(_) | Reply::Closed => (0, false),
    }
}

fn refused(fault: &Fault) -> Reply {
    plain(fault.status, fault.body())
}

/// The parameters, from the body of a POST and from the query of anything else.
fn read(asked: &Asked) -> Result<Value, String> {
    if asked.method != "POST" {
        // Stripe's SDKs send the parameters of DELETE either way.
        let text = if asked.body.is_empty() {
            asked.query.as_bytes()
        } else {
            &asked.body[..]
        };
        return form::decode(text);
    }
    if !asked.query.is_empty() {
        return Err("This double reads the parameters of a POST from its body.".to_owned());
    }
    let form = asked.content_type.as_deref().unwrap_or_default();
    if !asked.body.is_empty() && !form.starts_with("application/x-www-form-urlencoded") {
        return Err(format!("Invalid request: the content type is {form:?}."));
    }
    form::decode(&asked.body)
}

fn strict(inner: &Inner, state: &mut State, asked: &Asked, params: Value, breaks: bool) -> Reply {
    match admit(inner, asked) {
        Ok(operation) => {
            let posted = asked.method == "POST";
            keyed(state, asked, &operation, params, breaks, posted)
        }
        Err(fault) => refused(&fault),
    }
}

/// Credential, version, path, key.
fn admit(inner: &Inner, asked: &Asked) -> Result<Operation, Fault> {
    let expected = format!("Bearer {}", inner.options.secret_key);
    match asked.authorization.as_deref() {
        Some(shown) if shown == expected => {}
        Some(_) => return Err(Fault::of("invalid_request_error", 401, "Invalid API Key provided")),
        None => {
            let message =
                "You did not provide an API key. You need to provide your API key in the Authorization header";
            return Err(Fault::of("invalid_request_error", 401, message));
        }
    }
    if asked.version.as_deref() != Some(API_VERSION) {
        let shown = asked.version.as_deref().unwrap_or("none");
        return Err(Fault::request(format!(
            "Invalid Stripe API version: {shown}; this double speaks {API_VERSION} only."
        )));
    }
    let Some(operation) = Operation::find(&asked.method, &asked.path) else {
        let message = format!("Unrecognized request URL ({}: {}).", asked.method, asked.path);
        return Err(Fault::of("invalid_request_error", 404, message));
    };
    if asked.method == "POST" && operation.needs_key() {
        let Some(key) = &asked.key else {
            return Err(Fault::request(
                "This double wants an Idempotency-Key with every POST: a call that is not safe to repeat is a bug.",
            ));
        };
        if key.is_empty() || key.len() > 255 {
            return Err(Fault::of(
                "idempotency_error",
                400,
                "An Idempotency-Key has 1 to 255 characters.",
            ));
        }
    }
    Ok(operation)
}

fn keyed(state: &mut State, asked: &Asked, operation: &Operation, params: Value, breaks: bool, posted: bool) -> Reply {
    let typed = match schema::check(operation.schema(), params) {
        Ok(typed) => typed,
        // Refused before the work began: nothing is kept.
        Err(fault) => return refused(&fault),
    };
    let whole = (asked.method.clone(), asked.path.clone(), typed);
    let key = asked.key.clone().filter(|_| posted);
    if let Some(kept) = key.as_ref().and_then(|key| state.kept.get(key)) {
        if kept.asked != whole {
            let message =
                "Keys for idempotent requests can only be used with the same parameters they were first used with.";
            return refused(&Fault::of("idempotency_error", 400, message));
        }
        return Reply::Json {
            status: kept.status,
            body: kept.body.clone(),
            replayed: true,
        };
    }
    let (status, body) = match state.world.perform(operation, &whole.2) {
        Ok(_) if breaks => (500, Fault::of("api_error", 500, "An unexpected error occurred.").body()),
        Ok(body) => (200, body),
        Err(fault) => (fault.status, fault.body()),
    };
    if let Some(key) = key {
        let kept = Kept {
            asked: whole,
            status,
            body: body.clone(),
        };
        state.kept.insert(key, kept);
    }
    plain(status, body)
}
