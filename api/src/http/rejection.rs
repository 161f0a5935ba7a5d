//! What poem refuses, in our own shape. Its messages quote what the caller sent, which may be a secret, so that they
//! are read for their kind and never passed on.

use std::any::Any;
use std::borrow::Cow;

use domain::kernel::problem::FieldProblem;
use domain::kernel::{Problem, ProblemCode};
use poem::error::{MethodNotAllowedError, NotFoundError};
use poem::http::{HeaderValue, StatusCode, header};
use poem::{PathPattern, Response};
use poem_openapi::OperationId;
use poem_openapi::error::{ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError};

use super::problem::respond;
use super::request::RequestContext;
use super::routes::RouteTable;

/// Words for a fault of ours.
const OUR_FAULT: &str = "The fault is ours. Quote the request id when you report it.";
/// Longest field name that is repeated to the caller, bytes.
const MAX_FIELD_LEN: usize = 64;

/// Turns any error that left the router into a problem; one that is a response already stays as it is. Keeps the
/// operation and the matched path.
pub fn framework_error(error: poem::Error, routes: &RouteTable) -> Response {
    let operation = error.data::<OperationId>().copied();
    let pattern = error.data::<PathPattern>().cloned();
    let mut response = if error.is_from_response() {
        error.into_response()
    } else {
        let mut response = respond(problem(&error));
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let allow = routes.allow(pattern.as_ref().map_or("", |pattern| &*pattern.0));
            if let Ok(allow) = HeaderValue::from_str(&allow) {
                response.headers_mut().insert(header::ALLOW, allow);
            }
        }
        response
    };
    if let Some(operation) = operation {
        response.set_data(operation);
    }
    if let Some(pattern) = pattern {
        response.set_data(pattern);
    }
    response
}

/// The answer to a handler that panicked. What it said stays in the panic hook's hands.
pub fn panicked(_payload: Box<dyn Any + Send>) -> Response {
    let request_id = RequestContext::current()
        .map(|context| context.request_id.clone())
        .unwrap_or_default();
    tracing::error!(request_id, "an operation panicked");
    internal()
}

/// The answer to a fault of ours that is in the log already.
pub fn internal() -> Response {
    respond(Problem::new(ProblemCode::Internal, OUR_FAULT))
}

fn problem(error: &poem::Error) -> Problem {
    if error.is::<NotFoundError>() {
        return Problem::new(ProblemCode::NotFound, "No operation has this path.");
    }
    if error.is::<MethodNotAllowedError>() {
        let detail = "This path has no operation of this method; `Allow` names those it has.";
        return Problem::new(ProblemCode::MethodNotAllowed, detail);
    }
    if let Some(error) = error.downcast_ref::<ParseRequestPayloadError>() {
        return Problem::fields(vec![read_reason("body", &error.reason)]);
    }
    if let Some(error) = error.downcast_ref::<ParseParamError>() {
        return Problem::fields(vec![read_reason(error.name, &error.reason)]);
    }
    // poem numbers path parameters instead of naming them.
    if error.is::<ParsePathError>() || error.is::<poem::error::ParsePathError>() {
        return Problem::new(
            ProblemCode::MalformedRequest,
            "A part of the path is not of the form that it must have.",
        );
    }
    if error.is::<ContentTypeError>() {
        let detail = "Send a body of a media type that this operation reads, and name it in `Content-Type`.";
        return Problem::new(ProblemCode::UnsupportedMediaType, detail);
    }
    by_status(error)
}

/// An error that this edge does not know by type.
fn by_status(error: &poem::Error) -> Problem {
    let status = error.status();
    if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
        let request_id = RequestContext::current()
            .map(|context| context.request_id.clone())
            .unwrap_or_default();
        tracing::error!(request_id, %error, "the framework failed");
        return Problem::new(ProblemCode::Internal, OUR_FAULT);
    }
    let (code, detail) = match status.as_u16() {
        401 => (ProblemCode::Unauthenticated, "Send a valid credential."),
        403 => (ProblemCode::Forbidden, "This is not allowed."),
        404 => (ProblemCode::NotFound, "No operation has this path."),
        405 => (
            ProblemCode::MethodNotAllowed,
            "This path has no operation of this method.",
        ),
        406 => (
            ProblemCode::NotAcceptable,
            "There is no representation that you accept.",
        ),
        408 => (ProblemCode::RequestTimeout, "The request took too long to arrive."),
        409 => (ProblemCode::Conflict, "It conflicts with the current state."),
        412 => (ProblemCode::VersionMismatch, "The version is not the one you named."),
        413 => (ProblemCode::BodyTooLarge, "Send a smaller body."),
        415 => (
            ProblemCode::UnsupportedMediaType,
            "This operation does not read this media type.",
        ),
        422 => (ProblemCode::InvalidField, "A field has a value that it cannot take."),
        429 => (ProblemCode::RateLimited, "Wait before you try again."),
        503 => (
            ProblemCode::Unavailable,
            "Something that this needs is down. Try again.",
        ),
        _ => (ProblemCode::MalformedRequest, "The request could not be read."),
    };
    Problem::new(code, detail)
}

/// Reads what poem-openapi says about a body or parameter. Whatever it quotes of the value is dropped.
fn read_reason(place: &'static str, reason: &str) -> FieldProblem {
    // `failed to parse "Type": …` wraps what a field's own check says.
    let said = match reason.strip_prefix("failed to parse \"") {
        Some(rest) => rest.split_once("\": ").map_or("", |(_, said)| said),
        None => reason,
    };
    let field = |rest: &str| {
        rest.split_once('`')
            .and_then(|(name, _)| field_name(name))
            .unwrap_or(place.into())
    };
    // poem-openapi names the type of the field and the object that it is in, and not the field.
    let owner = said
        .rsplit_once("(occurred while parsing \"")
        .map(|(_, owner)| up_to_quote(owner));
    if let Some(rest) = said.strip_prefix("Expected input type \"") {
        let is_null = rest
            .split_once("\", found ")
            .is_some_and(|(_, value)| value.starts_with("null."));
        return if is_null {
            missing(place, owner, rest)
        } else {
            mistyped(place, owner, rest)
        };
    }
    if let Some(rest) = said.strip_prefix("Type \"") {
        return missing(place, owner, rest);
    }
    if let Some(rest) = said.strip_prefix("unknown field `") {
        return wrong(field(rest), "unknown", "there is no such field");
    }
    if let Some(rest) = said.strip_prefix("properties `") {
        return wrong(field(rest), "read_only", "is read-only");
    }
    if let Some(rest) = said.strip_prefix("field `")
        && let Some((_, rule)) = rest.split_once("` verification failed. ")
    {
        let (reason, message) = read_rule(rule);
        return wrong(field(rest), reason, message);
    }
    if let Some(rule) = said.strip_prefix("verification failed. ") {
        let (reason, message) = read_rule(rule);
        return wrong(place.into(), reason, message);
    }
    wrong(place.into(), "format", "is not of the form that it must have")
}

fn wrong(field: Cow<'static, str>, reason: &'static str, message: impl Into<Cow<'static, str>>) -> FieldProblem {
    FieldProblem {
        field,
        reason: reason.into(),
        message: message.into(),
    }
}

/// A field that is absent, or null where that means nothing.
fn missing(place: &'static str, owner: Option<&str>, type_text: &str) -> FieldProblem {
    let wanted = type_name(type_text);
    let message = match owner {
        Some(owner) => format!("a required field of `{owner}` is missing: {wanted}"),
        None => format!("is required: {wanted}"),
    };
    wrong(place.into(), "required", message)
}

fn mistyped(place: &'static str, owner: Option<&str>, type_text: &str) -> FieldProblem {
    let wanted = type_name(type_text);
    let message = match owner {
        Some(owner) => format!("a field of `{owner}` must be {wanted}"),
        None => format!("must be {wanted}"),
    };
    wrong(place.into(), "type", message)
}

/// A validator of poem-openapi, `maxLength(63)`, as a reason and a sentence.
fn read_rule(rule: &str) -> (&'static str, Cow<'static, str>) {
    let Some((name, rest)) = rule.split_once('(') else {
        return ("format", "is not valid".into());
    };
    let bound = rest.split([',', ')']).next().unwrap_or_default();
    match name {
        "maxLength" => ("too_long", format!("must have at most {bound} characters").into()),
        "minLength" => ("too_short", format!("must have at least {bound} characters").into()),
        "maxItems" | "maxProperties" => ("too_many", format!("must have at most {bound} entries").into()),
        "minItems" | "minProperties" => ("too_few", format!("must have at least {bound} entries").into()),
        "maximum" => ("range", format!("must be at most {bound}").into()),
        "minimum" => ("range", format!("must be at least {bound}").into()),
        "multipleOf" => ("range", format!("must be a multiple of {bound}").into()),
        "uniqueItems" => ("duplicate", "must not repeat an entry".into()),
        _ => ("format", "is not of the form that it must have".into()),
    }
}

/// The type at the start of `rest`, for people.
fn type_name(rest: &str) -> String {
    let name = up_to_quote(rest);
    match name.split(['_', '(']).next().unwrap_or_default() {
        "string" => "a string".to_owned(),
        "integer" => "an integer".to_owned(),
        "number" => "a number".to_owned(),
        "boolean" => "true or false".to_owned(),
        "list" | "set" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        _ => format!("a valid `{name}`"),
    }
}

fn up_to_quote(text: &str) -> &str {
    text.split('"').next().unwrap_or_default()
}

/// A name that is short and plain enough to repeat.
fn field_name(name: &str) -> Option<Cow<'static, str>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (!name.is_empty() && name.len() <= MAX_FIELD_LEN && name.bytes().all(plain)).then(|| name.to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reason: &str) -> (String, String, String) {
        let read = read_reason("body", reason);
        (
            read.field.into_owned(),
            read.reason.into_owned(),
            read.message.into_owned(),
        )
    }

    #[test]
    fn reasons_name_field_and_rule() {
        let (field, reason, message) =
            read(r#"failed to parse "CreateOrg": field `slug` verification failed. maxLength(63)"#);
        assert_eq!(
            (&*field, &*reason, &*message),
            ("slug", "too_long", "must have at most 63 characters")
        );
        let (field, reason, _) = read(r#"failed to parse "CreateOrg": unknown field `plan`."#);
        assert_eq!((&*field, &*reason), ("plan", "unknown"));
        let (field, reason, message) =
            read(r#"Type "string" expects an input value. (occurred while parsing "Login")"#);
        assert_eq!((&*field, &*reason), ("body", "required"));
        assert_eq!(message, "a required field of `Login` is missing: a string");
        let (_, reason, _) = read(r#"Expected input type "string", found null. (occurred while parsing "Login")"#);
        assert_eq!(reason, "required");
        let (_, reason, _) = read(r#"Expected input type "string", found "null."."#);
        assert_eq!(reason, "type");
        let (_, reason, message) = read("verification failed. maximum(100, exclusive: false)");
        assert_eq!((&*reason, &*message), ("range", "must be at most 100"));
    }

    #[test]
    fn values_are_never_repeated() {
        for reason in [
            r#"Expected input type "integer_int32", found "hunter2". (occurred while parsing "Login")"#,
            r#"Expected input type "string", found {"a":"field `hunter2` verification failed. x"}."#,
            r#"failed to parse "Key": invalid type: string "hunter2", expected u8"#,
            r#"failed to parse "Login": unknown field `hunter2 with spaces`."#,
            "something about hunter2 that poem never said before",
        ] {
            let (field, _, message) = read(reason);
            assert!(
                !field.contains("hunter2") && !message.contains("hunter2"),
                "{field} {message}"
            );
        }
    }
}
