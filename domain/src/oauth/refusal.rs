//! What clients are told when it does not go well: the codes of RFC 6749 and its followers.

use std::borrow::Cow;

use crate::kernel::{Error, Problem};

macro_rules! codes {
    ($($name:ident = $text:literal;)*) => {
        /// The `error` of an answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalCode {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl RefusalCode {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as sent.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request";
    InvalidClient = "invalid_client";
    InvalidGrant = "invalid_grant";
    UnauthorizedClient = "unauthorized_client";
    UnsupportedGrantType = "unsupported_grant_type";
    UnsupportedResponseType = "unsupported_response_type";
    InvalidScope = "invalid_scope";
    InvalidTarget = "invalid_target";
    AccessDenied = "access_denied";
    LoginRequired = "login_required";
    ConsentRequired = "consent_required";
    RequestNotSupported = "request_not_supported";
    RequestUriNotSupported = "request_uri_not_supported";
    AuthorizationPending = "authorization_pending";
    SlowDown = "slow_down";
    ExpiredToken = "expired_token";
    InvalidToken = "invalid_token";
    InsufficientScope = "insufficient_scope";
    ServerError = "server_error";
}

/// A refusal of a client's request. The description tells its developer what to do, and repeats nothing of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: RefusalCode,
    pub description: Cow<'static, str>,
}

impl Refusal {
    pub fn new(code: RefusalCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            description: description.into(),
        }
    }

    /// The request itself is not as it must be.
    pub fn request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(RefusalCode::InvalidRequest, description)
    }

    /// Code, refresh token or device code is none that can be traded; which, and why, is not told.
    pub fn grant(description: &'static str) -> Self {
        Self::new(RefusalCode::InvalidGrant, description)
    }
}

/// Why something failed: the client's fault, or anything else.
#[derive(Debug)]
pub enum Failure {
    Refused(Refusal),
    Fault(Error),
}

/// What a rule of this area comes to.
pub type Outcome<T> = std::result::Result<T, Failure>;

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Fault(problem.into())
    }
}

impl From<sea_orm::DbErr> for Failure {
    fn from(error: sea_orm::DbErr) -> Self {
        Self::Fault(error.into())
    }
}
