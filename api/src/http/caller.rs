//! The caller as the first argument of an operation. It documents the three ways to show a credential.

use std::ops::Deref;
use std::sync::Arc;

use domain::kernel::{Error, Problem, ProblemCode};
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::authenticate::{API_KEY, Identity, cookie_name};
use super::problem::ApiError;

/// An authenticated caller.
#[derive(Clone)]
pub struct Caller(Arc<domain::access::Caller>);

impl Caller {
    /// For work that goes on beside the request.
    pub fn shared(&self) -> &Arc<domain::access::Caller> {
        &self.0
    }
}

impl Deref for Caller {
    type Target = domain::access::Caller;

    fn deref(&self) -> &domain::access::Caller {
        &self.0
    }
}

fn scheme(ty: &'static str, description: &'static str) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty,
        description: Some(description),
        name: None,
        key_in: None,
        scheme: None,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    }
}

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let bearer = scheme(
            "http",
            "A personal token (`srm_pat_…`), a session's access token (`srm_ses_…`), or an access token of OAuth (a JWT).",
        );
        registry.create_security_scheme(
            "bearer",
            MetaSecurityScheme {
                scheme: Some("bearer"),
                ..bearer
            },
        );
        let key = scheme("apiKey", "A service account's key (`srm_sak_…`).");
        registry.create_security_scheme(
            "api_key",
            MetaSecurityScheme {
                name: Some(API_KEY),
                key_in: Some("header"),
                ..key
            },
        );
        let cookie = scheme(
            "apiKey",
            "A browser session. Changes also need `X-Requested-With: strongroom` and a same-origin request. \
             On loopback without TLS the cookie is called `strongroom`.",
        );
        registry.create_security_scheme(
            "session_cookie",
            MetaSecurityScheme {
                name: Some(cookie_name(true)),
                key_in: Some("cookie"),
                ..cookie
            },
        );
    }

    fn security_schemes() -> Vec<&'static str> {
        vec!["bearer", "api_key", "session_cookie"]
    }

    async fn from_request(request: &'a Request, _: &mut RequestBody, _: ExtractParamOptions<()>) -> poem::Result<Self> {
        match request.data::<Identity>() {
            Some(Identity::Known(caller)) => Ok(Self(caller.clone())),
            Some(Identity::Refused(problem)) => Err(ApiError::from(problem.clone()).into()),
            Some(Identity::Anonymous) => {
                let detail = "Send a credential: `Authorization: Bearer <token>`, `X-API-Key`, or a session cookie.";
                Err(ApiError::from(Problem::new(ProblemCode::Unauthenticated, detail)).into())
            }
            None => Err(ApiError::from(Error::internal("nobody looked at the credential")).into()),
        }
    }
}

/// The caller of an operation that takes no credential and does more for somebody who shows one. A credential that is no
/// good counts as none: a link in a mail also works in a browser whose session has ended.
pub struct OptionalCaller(pub Option<Caller>);

impl<'a> FromRequest<'a> for OptionalCaller {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        match request.data::<Identity>() {
            Some(Identity::Known(caller)) => Ok(Self(Some(Caller(caller.clone())))),
            Some(Identity::Refused(_) | Identity::Anonymous) | None => Ok(Self(None)),
        }
    }
}
