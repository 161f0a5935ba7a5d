//! Who is calling: one credential a request, looked up once, before any operation.

use std::sync::Arc;

use domain::access::recall::Wanted;
use domain::access::{ActorKind, Caller, Origin};
use domain::auth::authenticate::{Shown, authenticate_request, by_access_token};
use domain::kernel::{Error, Problem, ProblemCode, Result};
use poem::Request;
use poem::http::{Method, header};

use super::csrf;
use super::request::RequestContext;
use crate::app::App;

/// The header of service-account keys.
pub const API_KEY: &str = "X-API-Key";

/// The session cookie's name. Browsers keep a `__Host-` cookie to this very origin and to TLS; without TLS, on
/// loopback, there is no such protection to ask for.
pub fn cookie_name(https: bool) -> &'static str {
    if https { "__Host-strongroom" } else { "strongroom" }
}

/// What came of looking at the request's credential.
#[derive(Clone)]
pub enum Identity {
    /// None was shown.
    Anonymous,
    Known(Arc<Caller>),
    /// One was shown and is no good, or could not be checked.
    Refused(Problem),
}

/// Where a request comes from, before it is known from whom.
pub fn origin() -> Origin {
    let context = RequestContext::current();
    Origin {
        actor: ActorKind::System,
        actor_id: None,
        actor_label: None,
        credential: None,
        ip: context.as_ref().map(|context| context.client_ip.to_string()),
        user_agent: context.as_ref().and_then(|context| context.user_agent.clone()),
        request_id: context.map(|context| context.request_id.clone()),
    }
}

/// Finds the one credential of a request. Any header given, the cookie is not even read.
fn shown(request: &Request, https: bool) -> Result<Option<(Shown, String)>> {
    let malformed = |detail: &'static str| Error::from(Problem::new(ProblemCode::MalformedRequest, detail));
    let headers = request.headers();
    let bearer = headers.get_all(header::AUTHORIZATION).iter().collect::<Vec<_>>();
    let api_key = headers.get_all(API_KEY).iter().collect::<Vec<_>>();
    if bearer.len() + api_key.len() > 1 {
        return Err(malformed(
            "Send one credential: either Authorization or X-API-Key, once.",
        ));
    }
    if let Some(value) = bearer.first() {
        let text = value.to_str().ok().and_then(|text| text.split_once(' '));
        return match text {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                Ok(Some((Shown::Bearer, token.trim().to_owned())))
            }
            Some(_) | None => {
                Err(Problem::new(ProblemCode::Unauthenticated, "Send `Authorization: Bearer <token>`.").into())
            }
        };
    }
    if let Some(value) = api_key.first() {
        let text = value
            .to_str()
            .map_err(|_| malformed("X-API-Key is not printable ASCII."))?;
        return Ok(Some((Shown::ApiKeyHeader, text.trim().to_owned())));
    }
    let cookie = request
        .cookie()
        .get(cookie_name(https))
        .map(|cookie| cookie.value_str().to_owned());
    Ok(cookie.map(|token| (Shown::Cookie, token)))
}

/// The environment that a request reads: organisation, project and environment as its path names them.
fn environment_read(request: &Request) -> Option<[&str; 3]> {
    if request.method() != Method::GET {
        return None;
    }
    let mut names = request.uri().path().strip_prefix("/v1/orgs/")?.split('/');
    let org = names.next()?;
    let project = (names.next()? == "projects").then(|| names.next())??;
    let env = (names.next()? == "environments").then(|| names.next())??;
    // Written with an escape, a name is not what the operation will read.
    [org, project, env]
        .iter()
        .all(|name| !name.contains('%'))
        .then_some([org, project, env])
}

/// Whether a bearer token is a signed one: it has dots, ours have none.
fn is_signed(token: &str) -> bool {
    token.contains('.')
}

/// Looks at the request's credential.
pub async fn identify(app: &App, request: &Request) -> Identity {
    let (shown, text) = match shown(request, app.is_https()) {
        Ok(Some(found)) => found,
        Ok(None) => return Identity::Anonymous,
        Err(error) => return Identity::Refused(error.into_problem()),
    };
    if shown == Shown::Cookie
        && let Err(error) = csrf::check(request, &app.base_url)
    {
        return Identity::Refused(error.into_problem());
    }
    let known = if shown == Shown::Bearer && is_signed(&text) {
        // What waits for a database is large, and would be moved about with requests that never do.
        Box::pin(by_access_token(&app.db, app.issuer(), &text, origin())).await
    } else {
        let wanted = environment_read(request).map(|place| Wanted {
            memory: &app.access,
            place,
        });
        authenticate_request(&app.lookups, app.keys.token_mac(), &text, shown, origin(), wanted).await
    };
    match known {
        Ok(mut caller) => {
            if let Some(context) = RequestContext::current() {
                caller.decided = context.decision_mark();
            }
            Identity::Known(Arc::new(caller))
        }
        Err(error) => {
            if let Error::Db(error) = &error {
                tracing::error!(%error, "a credential could not be checked");
            }
            Identity::Refused(error.into_problem())
        }
    }
}
