//! What can go wrong, as the caller sees it: a closed list of codes, each with its HTTP status and title, after
//! RFC 9457. A rule returns a [`Problem`]; only `api` turns it into a response.

use std::borrow::Cow;

use sea_orm::DbErr;
use serde_json::{Map, Value};

use super::db_fault;

pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $title:literal;)*) => {
        /// Every problem code that the API can answer with. Codes are stable: clients branch on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $($(#[$doc])* $name,)*
        }

        impl ProblemCode {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as published: `not_found`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that goes with the code.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// A short summary that does not change from occurrence to occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

problem_codes! {
    /// The request could not be read at all: broken JSON, bad path or query, two credentials at once.
    MalformedRequest = "malformed_request", 400, "The request could not be understood";
    /// What came in is not signed by whom it must be from, or not lately.
    InvalidSignature = "invalid_signature", 400, "The signature is not valid";
    /// No credential, or one that is unknown, expired or revoked.
    Unauthenticated = "unauthenticated", 401, "A valid credential is needed";
    /// E-mail, username or password is wrong.
    InvalidCredentials = "invalid_credentials", 401, "The sign-in details are wrong";
    /// A limit of the plan is reached.
    PlanLimitExceeded = "plan_limit_exceeded", 402, "A limit of the plan is reached";
    /// You can see it, and may not do this to it.
    Forbidden = "forbidden", 403, "This is not allowed";
    /// The token's scopes, patterns or organisation do not cover this.
    InsufficientScope = "insufficient_scope", 403, "The token does not cover this";
    /// Only a browser session may do this, no API token.
    SessionRequired = "session_required", 403, "Only a signed-in session may do this";
    /// A cookie-authenticated change without the proof that it comes from our own pages.
    CsrfFailed = "csrf_failed", 403, "The request did not prove its origin";
    /// The organisation wants a second factor, and this session was opened without one.
    SecondFactorRequired = "second_factor_required", 403, "A second factor is needed";
    /// The address must be verified first.
    EmailUnverified = "email_unverified", 403, "The address is not verified";
    /// Registration is closed on this instance.
    RegistrationClosed = "registration_closed", 403, "Registration is closed";
    /// Absent, or hidden from you: the two are not told apart.
    NotFound = "not_found", 404, "There is nothing here";
    /// The path is there, the method is not.
    MethodNotAllowed = "method_not_allowed", 405, "The method is not allowed here";
    /// No representation that the caller accepts.
    NotAcceptable = "not_acceptable", 406, "No acceptable representation";
    /// The caller took too long to send its request.
    RequestTimeout = "request_timeout", 408, "The request took too long to arrive";
    /// The organisation has a subscription; it is changed, not bought again.
    AlreadySubscribed = "already_subscribed", 409, "There is a subscription already";
    /// The state of things does not allow it.
    Conflict = "conflict", 409, "It conflicts with the current state";
    /// The e-mail address belongs to an account.
    EmailTaken = "email_taken", 409, "The e-mail address is taken";
    /// It would leave an organisation or project without an owner.
    LastOwner = "last_owner", 409, "An owner must remain";
    /// Whoever is meant is a member already.
    AlreadyMember = "already_member", 409, "A member already";
    /// An invitation to this address is out already.
    AlreadyInvited = "already_invited", 409, "Invited already";
    /// The invitation is used up, expired or revoked.
    InviteUnusable = "invite_unusable", 409, "The invitation can no longer be used";
    /// Others still use it; `force` takes it from them.
    InUse = "in_use", 409, "It is in use";
    /// The slug is in use.
    SlugTaken = "slug_taken", 409, "The slug is taken";
    /// A secret of this key exists, or the template has the key.
    KeyTaken = "key_taken", 409, "The key is taken";
    /// The idempotency key was used with another request.
    IdempotencyKeyReused = "idempotency_key_reused", 409, "The idempotency key belongs to another request";
    /// The events are older than the plan keeps them.
    EventsPurged = "events_purged", 410, "The events are no longer kept";
    /// The version or revision is not the one you named.
    VersionMismatch = "version_mismatch", 412, "The version has moved";
    /// The body is larger than this operation takes.
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// The path or query is longer than we read.
    UriTooLong = "uri_too_long", 414, "The address is too long";
    /// The body's media type is not one that this operation reads.
    UnsupportedMediaType = "unsupported_media_type", 415, "The media type is not supported";
    /// A field has a value that it cannot take; `errors` names each.
    InvalidField = "invalid_field", 422, "A field is invalid";
    /// The environment is protected, and the project's template does not allow the change; `errors` names each key.
    TemplateViolation = "template_violation", 422, "The template does not allow it";
    /// A fresh sign-in is needed for this.
    StepUpRequired = "step_up_required", 428, "Confirm that it is you";
    /// Too many requests; `Retry-After` tells when to come back.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// The headers are larger than we read.
    HeadersTooLarge = "headers_too_large", 431, "The headers are too large";
    /// Our fault; the request id finds it in the log.
    Internal = "internal", 500, "Something went wrong on our side";
    /// The method or transfer coding is not one that we know.
    NotImplemented = "not_implemented", 501, "Not implemented";
    /// This instance sells no plans.
    BillingDisabled = "billing_disabled", 501, "Billing is switched off";
    /// A dependency is down; try again after `Retry-After`.
    Unavailable = "unavailable", 503, "Temporarily unavailable";
    /// There is no room to store it.
    InsufficientStorage = "insufficient_storage", 507, "No room to store it";
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// Path of the field: `url`, `filters.projects[0]`.
    pub field: Cow<'static, str>,
    /// Machine-readable: `required`, `too_long`, `format`, …
    pub reason: Cow<'static, str>,
    /// For people: what it must be.
    pub message: Cow<'static, str>,
}

/// One occurrence of a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: ProblemCode,
    /// Tells the caller what to do about it. Never holds a secret, nor input that could be one.
    pub detail: Cow<'static, str>,
    pub errors: Vec<FieldProblem>,
    /// Extension members, such as `current_version` or `retry_after`.
    pub extra: Map<String, Value>,
}

impl Problem {
    pub fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            extra: Map::new(),
        }
    }

    /// Absent or hidden: always the same words.
    pub fn not_found() -> Self {
        Self::new(ProblemCode::NotFound, "It does not exist, or you have no access to it.")
    }

    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ProblemCode::Forbidden, detail)
    }

    /// One invalid field.
    pub fn field(
        field: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::fields(vec![FieldProblem {
            field: field.into(),
            reason: reason.into(),
            message: message.into(),
        }])
    }

    /// Several invalid fields, all named at once.
    pub fn fields(errors: Vec<FieldProblem>) -> Self {
        Self {
            errors,
            ..Self::new(
                ProblemCode::InvalidField,
                "Correct the fields named in `errors` and send it again.",
            )
        }
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(key.to_owned(), value.into());
        self
    }
}

/// What a domain function fails with: a problem of the caller's, or a fault of ours.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {}", .0.code.as_str(), .0.detail)]
    Problem(Box<Problem>),
    #[error("database: {0}")]
    Db(#[from] DbErr),
    /// A broken invariant. The text goes to the log and never to the caller.
    #[error("internal: {0}")]
    Internal(Cow<'static, str>),
}

impl Error {
    pub fn internal(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Internal(text.into())
    }

    /// The same of a part of a request: its fields are named by their place in the whole.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        match self {
            Self::Problem(mut problem) => {
                for error in &mut problem.errors {
                    error.field = format!("{outer}.{}", error.field).into();
                }
                Self::Problem(problem)
            }
            Self::Db(_) | Self::Internal(_) => self,
        }
    }

    /// The code of the caller's problem; `None` for a fault of ours.
    pub fn code(&self) -> Option<ProblemCode> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            Self::Db(_) | Self::Internal(_) => None,
        }
    }

    /// Whether the database as a whole is the trouble, and not what was asked of it: the same may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Db(error) => db_fault::is_passing(error),
            Self::Problem(_) | Self::Internal(_) => false,
        }
    }

    /// The problem to tell the caller of; faults of ours become `internal`, `unavailable` or `insufficient_storage`.
    pub fn into_problem(self) -> Problem {
        match self {
            Self::Problem(problem) => *problem,
            fault => fault.problem(),
        }
    }

    /// The same without giving the error away.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Problem(problem) => (**problem).clone(),
            Self::Db(error) => db_fault::problem(error),
            Self::Internal(_) => Problem::new(
                ProblemCode::Internal,
                "The fault is ours. Quote the request id when you report it.",
            ),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_carry_error_statuses() {
        let mut codes: Vec<_> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
        codes.sort_unstable();
        let before = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), before);
        assert!(ProblemCode::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }

    #[test]
    fn fields_of_a_part_are_named_by_their_place_in_the_whole() {
        let error = Error::from(Problem::field("pattern", "format", "is none")).within("what_if.rule");
        assert_eq!(error.into_problem().errors[0].field, "what_if.rule.pattern");
        let fault = Error::internal("dek 7 missing").within("what_if.rule");
        assert_eq!(fault.code(), None);
    }

    #[test]
    fn internal_faults_keep_their_text_to_themselves() {
        let problem = Error::internal("dek 7 missing").into_problem();
        assert!(!problem.detail.contains("dek"));
    }
}
