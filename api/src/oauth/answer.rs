//! Answers to clients: JSON, and errors as RFC 6749 §5.2 and RFC 6750 §3 have them.

use domain::kernel::{Error, WriteTx};
use domain::oauth::{Failure, Outcome, Refusal, RefusalCode};
use poem::Response;
use poem::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::app::App;
use crate::http::problem::log_fault;
use crate::http::request::RequestContext;

/// Commits, and rings for what is to be done.
///
/// # Errors
/// Nothing was committed then.
pub async fn commit(app: &App, tx: WriteTx) -> Result<(), Error> {
    let lanes = tx.commit().await?;
    if !lanes.is_empty() {
        app.bell.ring(&lanes).await;
    }
    Ok(())
}

/// JSON that nobody keeps.
pub fn json(value: &Value) -> Response {
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::PRAGMA, "no-cache")
        .body(value.to_string())
}

/// What came of a client's request.
pub fn of(outcome: Outcome<Value>) -> Response {
    match outcome {
        Ok(value) => json(&value),
        Err(Failure::Refused(refusal)) => refused(&refusal),
        Err(Failure::Fault(error)) => failed(error),
    }
}

/// A refusal.
pub fn refused(refusal: &Refusal) -> Response {
    let code = refusal.code.as_str();
    let mut response = json(&json!({ "error": code, "error_description": refusal.description }));
    let (status, challenge) = match refusal.code {
        RefusalCode::InvalidClient => (StatusCode::UNAUTHORIZED, Some("Basic realm=\"strongroom\"".to_owned())),
        RefusalCode::InvalidToken => (StatusCode::UNAUTHORIZED, Some(bearer(code))),
        RefusalCode::InsufficientScope => (StatusCode::FORBIDDEN, Some(bearer(code))),
        RefusalCode::ServerError => (StatusCode::INTERNAL_SERVER_ERROR, None),
        RefusalCode::InvalidRequest
        | RefusalCode::InvalidGrant
        | RefusalCode::UnauthorizedClient
        | RefusalCode::UnsupportedGrantType
        | RefusalCode::UnsupportedResponseType
        | RefusalCode::InvalidScope
        | RefusalCode::InvalidTarget
        | RefusalCode::AccessDenied
        | RefusalCode::LoginRequired
        | RefusalCode::ConsentRequired
        | RefusalCode::RequestNotSupported
        | RefusalCode::RequestUriNotSupported
        | RefusalCode::AuthorizationPending
        | RefusalCode::SlowDown
        | RefusalCode::ExpiredToken => (StatusCode::BAD_REQUEST, None),
    };
    response.set_status(status);
    if let Some(challenge) = challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn bearer(code: &str) -> String {
    format!("Bearer realm=\"strongroom\", error=\"{code}\"")
}

/// Something else went wrong: the status tells what, and the log the rest.
pub fn failed(error: Error) -> Response {
    let status = logged(error);
    let code = if status == StatusCode::SERVICE_UNAVAILABLE {
        "temporarily_unavailable"
    } else {
        "server_error"
    };
    let mut response = json(&json!({ "error": code, "error_description": "It is not your request. Try again later." }));
    response.set_status(status);
    response
}

/// Logs a fault; answers its status.
pub fn logged(error: Error) -> StatusCode {
    let context = RequestContext::current();
    log_fault(
        &error,
        context.as_ref().map_or("", |context| context.request_id.as_str()),
    );
    let status = error.into_problem().code.status();
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
