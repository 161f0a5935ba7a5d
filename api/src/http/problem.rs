//! Problems as responses: `application/problem+json` after RFC 9457, the one error shape of everything.

use domain::auth::throttle::Judged;
use domain::kernel::{Error, Problem};
use poem::http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Enum, Object};
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr};
use serde_json::{Map, Value};

use super::request::RequestContext;

/// What a 401 asks for.
pub const CHALLENGE: &str = r#"Bearer realm="strongroom""#;
/// Seconds to wait when a problem that passes does not say how long.
const DEFAULT_RETRY_AFTER: u64 = 1;

/// Every problem code. Codes are stable: branch on them, not on the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case", remote = "domain::kernel::ProblemCode")]
pub enum ProblemCode {
    MalformedRequest,
    InvalidSignature,
    Unauthenticated,
    InvalidCredentials,
    PlanLimitExceeded,
    Forbidden,
    InsufficientScope,
    SessionRequired,
    CsrfFailed,
    SecondFactorRequired,
    EmailUnverified,
    RegistrationClosed,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    AlreadySubscribed,
    Conflict,
    EmailTaken,
    LastOwner,
    AlreadyMember,
    AlreadyInvited,
    InviteUnusable,
    InUse,
    SlugTaken,
    KeyTaken,
    IdempotencyKeyReused,
    EventsPurged,
    VersionMismatch,
    BodyTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    InvalidField,
    TemplateViolation,
    StepUpRequired,
    RateLimited,
    HeadersTooLarge,
    Internal,
    NotImplemented,
    BillingDisabled,
    Unavailable,
    InsufficientStorage,
}

/// One field that is wrong.
#[derive(Clone, Debug, Object)]
pub struct FieldError {
    /// Path of the field: `url`, `filters.projects[0]`; `body` when it is the whole body; with `template_violation` a
    /// key: `DB_URL`.
    pub field: String,
    /// Machine-readable: `required`, `too_long`, `format`, …
    pub reason: String,
    /// For people: what it must be.
    pub message: String,
}

/// Why a request failed (RFC 9457).
#[derive(Clone, Debug, Object)]
#[oai(rename = "Problem", skip_serializing_if_is_none)]
pub struct ProblemBody {
    /// URI of the kind of problem, relative to this API: `/problems/not_found`.
    #[oai(rename = "type")]
    pub kind: String,
    /// A short summary that is the same for every problem of this code.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What happened this time, and what to do about it.
    pub detail: String,
    pub code: ProblemCode,
    /// Quote it when you report the problem. The same as in `X-Request-Id`.
    pub request_id: String,
    /// Every field that is wrong, with `invalid_field`; every key that the template does not allow, with
    /// `template_violation`.
    pub errors: Option<Vec<FieldError>>,
    /// The version that is there now, with `version_mismatch`.
    pub current_version: Option<i64>,
    /// The revision that is there now, with `version_mismatch`.
    pub current_revision: Option<i64>,
    /// Seconds to wait before trying again, with `rate_limited` and `unavailable`.
    pub retry_after: Option<u64>,
    /// The field whose value is taken, with `slug_taken` and `key_taken`.
    pub field: Option<String>,
    /// Machine-readable cause of a refusal, with `forbidden` and its kin: `no_grant`, …
    pub reason: Option<String>,
    /// What can be shown instead, with `invalid_credentials` of a second factor or a confirmation: `password`, `code`,
    /// `totp`, `recovery`.
    pub methods: Option<Vec<String>>,
    /// Which limit of the plan, with `plan_limit_exceeded`: `projects`, …
    pub limit: Option<String>,
    /// What the limit allows, with `plan_limit_exceeded`.
    pub max: Option<i64>,
    /// How much of the limit is used, with `plan_limit_exceeded`.
    pub used: Option<i64>,
    /// How much more was asked for, with `plan_limit_exceeded`; 0 for a change in a project that is frozen.
    pub requested: Option<i64>,
    /// The organisation's plan, with `plan_limit_exceeded`.
    pub plan: Option<String>,
    /// Where the limit was set, with `plan_limit_exceeded`: `override`, `plan` or `builtin`.
    pub source: Option<String>,
    /// The smallest plan that would allow it, with `plan_limit_exceeded` where plans are sold and one would.
    pub upgrade_to: Option<String>,
    /// The number behind which events are still kept, with `events_purged`: go on `after` it.
    pub begins_after: Option<i64>,
    /// Members that only some problems have; they stand beside the others.
    #[oai(skip)]
    pub others: Map<String, Value>,
}

impl From<Problem> for ProblemBody {
    fn from(problem: Problem) -> Self {
        let Problem {
            code,
            detail,
            errors,
            extra: mut others,
        } = problem;
        let mut integer = |name: &str| others.remove(name).and_then(|value| value.as_i64());
        let current_version = integer("current_version");
        let current_revision = integer("current_revision");
        let retry_after = integer("retry_after").and_then(|seconds| u64::try_from(seconds).ok());
        let max = integer("max");
        let used = integer("used");
        let requested = integer("requested");
        let begins_after = integer("begins_after");
        // The one code with two statuses: a limit that nobody can buy more of is a refusal.
        let status = integer("status").and_then(|status| u16::try_from(status).ok());
        let mut text = |name: &str| match others.remove(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let field = text("field");
        let reason = text("reason");
        let limit = text("limit");
        let plan = text("plan");
        let source = text("source");
        let upgrade_to = text("upgrade_to");
        let methods = others.remove("methods").and_then(|value| match value {
            Value::Array(list) => Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            _ => None,
        });
        let errors: Vec<_> = errors
            .into_iter()
            .map(|error| FieldError {
                field: error.field.into_owned(),
                reason: error.reason.into_owned(),
                message: error.message.into_owned(),
            })
            .collect();
        Self {
            kind: format!("/problems/{}", code.as_str()),
            title: code.title().to_owned(),
            status: status.unwrap_or(code.status()),
            detail: detail.into_owned(),
            code: code.into(),
            request_id: RequestContext::current()
                .map(|context| context.request_id.clone())
                .unwrap_or_default(),
            errors: (!errors.is_empty()).then_some(errors),
            current_version,
            current_revision,
            retry_after: retry_after.or_else(|| passes(code.status()).then_some(DEFAULT_RETRY_AFTER)),
            field,
            reason,
            methods,
            limit,
            max,
            used,
            requested,
            plan,
            source,
            upgrade_to,
            begins_after,
            others,
        }
    }
}

/// Whether waiting helps.
fn passes(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// The payload of every error response.
#[derive(Clone, Debug)]
pub struct ProblemJson(Box<ProblemBody>);

impl From<Problem> for ProblemJson {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem.into()))
    }
}

impl Payload for ProblemJson {
    const CONTENT_TYPE: &'static str = "application/problem+json";

    fn schema_ref() -> MetaSchemaRef {
        ProblemBody::schema_ref()
    }

    fn register(registry: &mut Registry) {
        ProblemBody::register(registry);
    }
}

impl IntoResponse for ProblemJson {
    fn into_response(self) -> Response {
        let mut json = self.0.to_json().unwrap_or_default();
        if let Some(members) = json.as_object_mut() {
            members.extend(self.0.others);
        }
        Response::builder()
            .content_type(Self::CONTENT_TYPE)
            .body(json.to_string())
    }
}

/// What every operation fails with.
#[derive(Debug, ApiResponse)]
pub enum ApiError {
    /// The request could not be understood.
    #[oai(status = 400)]
    Malformed(ProblemJson),
    /// No credential, or one that is not valid.
    #[oai(status = 401)]
    Unauthenticated(ProblemJson, #[oai(header = "WWW-Authenticate")] String),
    /// A limit of the plan is reached.
    #[oai(status = 402)]
    PlanLimit(ProblemJson),
    /// Visible to the caller, and not allowed.
    #[oai(status = 403)]
    Forbidden(ProblemJson),
    /// Absent, or not visible to the caller.
    #[oai(status = 404)]
    NotFound(ProblemJson),
    /// No representation that the caller accepts.
    #[oai(status = 406)]
    NotAcceptable(ProblemJson),
    /// It conflicts with the current state.
    #[oai(status = 409)]
    Conflict(ProblemJson),
    /// What was asked for is no longer kept.
    #[oai(status = 410)]
    Gone(ProblemJson),
    /// The version or revision is not the one that the caller named.
    #[oai(status = 412)]
    VersionMismatch(ProblemJson),
    /// The body is too large.
    #[oai(status = 413)]
    TooLarge(ProblemJson),
    /// The media type is not supported.
    #[oai(status = 415)]
    UnsupportedMediaType(ProblemJson),
    /// A field has a value that it cannot take, or the template of a protected environment does not allow the change.
    #[oai(status = 422)]
    InvalidField(ProblemJson),
    /// A fresh sign-in is needed.
    #[oai(status = 428)]
    StepUpRequired(ProblemJson),
    /// Too many requests.
    #[oai(status = 429)]
    RateLimited(ProblemJson, #[oai(header = "Retry-After")] u64),
    /// Our fault.
    #[oai(status = 500)]
    Internal(ProblemJson),
    /// This instance does not do it.
    #[oai(status = 501)]
    Disabled(ProblemJson),
    /// A dependency is down.
    #[oai(status = 503)]
    Unavailable(ProblemJson, #[oai(header = "Retry-After")] u64),
    /// There is no room to store it.
    #[oai(status = 507)]
    InsufficientStorage(ProblemJson),
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        let body = ProblemJson::from(problem);
        let retry_after = body.0.retry_after.unwrap_or(DEFAULT_RETRY_AFTER);
        match body.0.code {
            ProblemCode::MalformedRequest | ProblemCode::InvalidSignature => Self::Malformed(body),
            ProblemCode::Unauthenticated | ProblemCode::InvalidCredentials => {
                Self::Unauthenticated(body, CHALLENGE.to_owned())
            }
            ProblemCode::PlanLimitExceeded if body.0.status == 403 => Self::Forbidden(body),
            ProblemCode::PlanLimitExceeded => Self::PlanLimit(body),
            ProblemCode::Forbidden
            | ProblemCode::InsufficientScope
            | ProblemCode::SessionRequired
            | ProblemCode::CsrfFailed
            | ProblemCode::SecondFactorRequired
            | ProblemCode::EmailUnverified
            | ProblemCode::RegistrationClosed => Self::Forbidden(body),
            ProblemCode::NotFound => Self::NotFound(body),
            ProblemCode::NotAcceptable => Self::NotAcceptable(body),
            ProblemCode::Conflict
            | ProblemCode::AlreadySubscribed
            | ProblemCode::EmailTaken
            | ProblemCode::LastOwner
            | ProblemCode::AlreadyMember
            | ProblemCode::AlreadyInvited
            | ProblemCode::InviteUnusable
            | ProblemCode::InUse
            | ProblemCode::SlugTaken
            | ProblemCode::KeyTaken
            | ProblemCode::IdempotencyKeyReused => Self::Conflict(body),
            ProblemCode::EventsPurged => Self::Gone(body),
            ProblemCode::VersionMismatch => Self::VersionMismatch(body),
            ProblemCode::BodyTooLarge => Self::TooLarge(body),
            ProblemCode::UnsupportedMediaType => Self::UnsupportedMediaType(body),
            ProblemCode::InvalidField | ProblemCode::TemplateViolation => Self::InvalidField(body),
            ProblemCode::StepUpRequired => Self::StepUpRequired(body),
            ProblemCode::RateLimited => Self::RateLimited(body, retry_after),
            ProblemCode::Internal => Self::Internal(body),
            ProblemCode::BillingDisabled => Self::Disabled(body),
            ProblemCode::Unavailable => Self::Unavailable(body, retry_after),
            ProblemCode::InsufficientStorage => Self::InsufficientStorage(body),
            // Only the edge answers with these, and it does not come through here.
            code @ (ProblemCode::MethodNotAllowed
            | ProblemCode::RequestTimeout
            | ProblemCode::UriTooLong
            | ProblemCode::HeadersTooLarge
            | ProblemCode::NotImplemented) => {
                Error::internal(format!("an operation failed with {code:?}, which is the edge's")).into()
            }
        }
    }
}

impl Judged for ApiError {
    fn is_wrong_proof(&self) -> bool {
        matches!(self, Self::Unauthenticated(problem, _) if problem.0.code == ProblemCode::InvalidCredentials)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let context = RequestContext::current();
        let request_id = context.as_ref().map_or("", |context| context.request_id.as_str());
        log_fault(&error, request_id);
        error.into_problem().into()
    }
}

/// Logs a fault of ours, once, where it leaves the domain. `request_id` ties it to what the caller was told.
pub fn log_fault(error: &Error, request_id: &str) {
    match error {
        Error::Problem(_) => {}
        Error::Internal(text) => tracing::error!(request_id, error = %text, "internal fault"),
        Error::Db(error) => tracing::error!(request_id, error = describe(error), "database fault"),
    }
}

/// What may be logged of a database error. PostgreSQL quotes the offending value in errors of SQLSTATE class 22 (data
/// exception), and a value could be a secret.
fn describe(error: &DbErr) -> String {
    if let DbErr::Conn(RuntimeErr::SqlxError(source))
    | DbErr::Exec(RuntimeErr::SqlxError(source))
    | DbErr::Query(RuntimeErr::SqlxError(source)) = error
        && let Some(code) = source.as_database_error().and_then(DatabaseError::code)
    {
        return if code.starts_with("22") {
            format!("SQLSTATE {code}")
        } else {
            format!("SQLSTATE {code}: {error}")
        };
    }
    error.to_string()
}

/// The response to a problem that arose before or outside of any operation.
pub fn respond(problem: Problem) -> Response {
    let body = ProblemJson::from(problem);
    let status = StatusCode::from_u16(body.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let retry_after = body.0.retry_after;
    let mut response = body.into_response();
    response.set_status(status);
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
    }
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use domain::kernel::ProblemCode as Code;

    use super::*;

    #[test]
    fn every_code_is_published_under_its_own_name() {
        for code in Code::ALL {
            assert_eq!(ProblemCode::from(*code).to_json(), Some(code.as_str().into()));
        }
    }

    #[tokio::test]
    async fn an_operation_and_the_edge_give_the_same_answer_to_the_same_problem() {
        for code in Code::ALL {
            let problem = Problem::new(*code, "detail").with("retry_after", 7).with("hint", "h");
            let edge = respond(problem.clone());
            let operation = ApiError::from(problem).into_response();
            assert_eq!(edge.status().as_u16(), code.status(), "{code:?}");
            if !matches!(code.status(), 405 | 408 | 414 | 431) && *code != Code::NotImplemented {
                assert_eq!(operation.status(), edge.status(), "{code:?}");
                assert_eq!(operation.content_type(), edge.content_type());
                assert_eq!(operation.header("www-authenticate").is_some(), code.status() == 401);
                assert_eq!(operation.header("retry-after").is_some(), passes(code.status()));
                let body: Value = operation.into_body().into_json().await.unwrap();
                assert_eq!(body["code"], code.as_str());
                assert_eq!(body["type"], format!("/problems/{}", code.as_str()));
                assert_eq!((&body["retry_after"], &body["hint"]), (&7.into(), &"h".into()));
                assert_eq!(body, edge.into_body().into_json::<Value>().await.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn faults_of_ours_keep_their_text_to_themselves() {
        let response = ApiError::from(Error::internal("dek 7 missing")).into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!response.into_body().into_string().await.unwrap().contains("dek"));
    }
}
