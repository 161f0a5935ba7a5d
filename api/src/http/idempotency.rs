//! What stands between the edge and the operations: the caller is identified and counted, and a change that was made
//! before under the same `Idempotency-Key` gets its first answer again.

use std::sync::Arc;

use domain::idempotency::{Answer, Claim};
use domain::kernel::{Problem, ProblemCode, Result};
use poem::http::{HeaderName, HeaderValue, Method, StatusCode};
use poem::{Endpoint, IntoResponse, Request, Response};

use super::authenticate::{Identity, identify};
use super::fields::BodySchemas;
use super::problem::{ApiError, respond};
use super::rate_limit::RateLimit;
use super::request::RequestContext;
use crate::app::App;

/// The request header.
pub const KEY: &str = "Idempotency-Key";
/// Set on an answer that was given before.
pub const REPLAYED: &str = "idempotent-replayed";
/// How often a request that lost against its own repetition looks for the winner's answer.
const LOOKS: u32 = 2;

/// Identifies the caller and replays answers, then goes on to the operation.
pub struct Gate<E> {
    pub app: Arc<App>,
    pub bodies: BodySchemas,
    pub rate_limit: Arc<RateLimit>,
    pub inner: E,
}

impl<E: Endpoint> Endpoint for Gate<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let response = self.answer(request).await;
        // Only what was answered well: strangers who ask for an organisation use up nothing of it.
        if let Ok(response) = &response
            && (response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED)
            && let Some(org) = RequestContext::current().and_then(|context| context.org())
        {
            self.app.meter.count(org);
        }
        response
    }
}

impl<E: Endpoint> Gate<E> {
    async fn answer(&self, mut request: Request) -> poem::Result<Response> {
        let identity = identify(&self.app, &request).await;
        if let Some(context) = RequestContext::current()
            && let Err(refused) = self.rate_limit.settle(&self.app.db, &context, &identity).await
        {
            return Ok(*refused);
        }
        if let Some(problem) = self.bodies.refusal(&request, matches!(identity, Identity::Known(_))) {
            return Ok(respond(problem));
        }
        request.set_data(identity.clone());
        let claim = match claim(&self.app, &mut request, &identity).await {
            Ok(None) => return self.inner.call(request).await.map(IntoResponse::into_response),
            Ok(Some(claim)) => claim,
            Err(error) => return Ok(ApiError::from(error).into_response()),
        };
        // Boxed as is what is rare: what waits for a database is large, and would be moved about with every request.
        match Box::pin(claim.answer(&self.app.db, &self.app.keys)).await {
            Ok(Some(answer)) => return Ok(replay(answer)),
            Ok(None) => {}
            Err(error) => return Ok(ApiError::from(error).into_response()),
        }
        if let Some(context) = RequestContext::current() {
            context.set_claim(claim.clone());
        }
        let response = self.inner.call(request).await.map(IntoResponse::into_response);
        // An operation's problem comes as an error. Whoever repeats a request while the first is under way may find the
        // key taken, the version moved, or the thing gone: it did that itself.
        let status = response.as_ref().map_or_else(poem::Error::status, Response::status);
        if status.is_client_error()
            && let Some(winner) = Box::pin(self.winner(&claim)).await
        {
            return Ok(winner);
        }
        response
    }

    /// The answer that a simultaneous request of the same key was given, if that is why this one was refused.
    async fn winner(&self, claim: &Claim) -> Option<Response> {
        for _ in 0..LOOKS {
            if let Ok(Some(answer)) = claim.answer(&self.app.db, &self.app.keys).await {
                return Some(replay(answer));
            }
        }
        None
    }
}

/// The claim of a change that carries a key.
async fn claim(app: &App, request: &mut Request, identity: &Identity) -> Result<Option<Claim>> {
    let mut keys = request.headers().get_all(KEY).iter();
    let Some(key) = keys.next().cloned() else {
        return Ok(None);
    };
    let several = keys.next().is_some();
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    ) {
        return Ok(None);
    }
    if several {
        return Err(Problem::new(ProblemCode::MalformedRequest, "Send one Idempotency-Key.").into());
    }
    let key = key.to_str().unwrap_or_default().to_owned();
    let credential = match identity {
        Identity::Known(caller) => Some(caller.credential),
        // The operation will say what is wrong with the credential.
        Identity::Refused(_) => return Ok(None),
        Identity::Anonymous => None,
    };
    let body = request
        .take_body()
        .into_bytes()
        .await
        .map_err(|_| Problem::new(ProblemCode::MalformedRequest, "The body broke off."))?;
    let path = request
        .uri()
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let claim = Claim::new(&app.keys, credential, &key, request.method().as_str(), &path, &body)?;
    request.set_body(body);
    Ok(Some(claim))
}

fn replay(answer: Answer) -> Response {
    // The first answer passed the decision; the same caller gets it again.
    if let Some(context) = RequestContext::current() {
        context.mark_decided();
    }
    let Answer { status, headers, body } = answer;
    let Ok(status) = StatusCode::from_u16(status) else {
        return respond(domain::kernel::Error::internal("stored status").into_problem());
    };
    let mut response = Response::builder().status(status).body(body);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
        .headers_mut()
        .insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
