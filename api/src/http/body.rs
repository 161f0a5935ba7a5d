//! Checks of a request's body before anything parses it. poem reads bodies without a limit, and its own size limit
//! demands a `Content-Length` of everyone, also of a GET.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::kernel::{Error, Problem, ProblemCode, Result};
use http_body_util::BodyExt;
use poem::http::{Method, header};
use poem::{Body, Request};

use super::fields::Admitted;
use super::head;
use super::json::{self, Flaw};

/// Largest body, bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// Largest body of an operation on many items, bytes.
pub const MAX_BULK_BODY: usize = 4 * MAX_BODY;
/// Endings of paths that take many items.
const BULK: [&str; 3] = ["/bulk", "/bulk-delete", "/import"];

/// Paths whose body is signed as it came: nothing looks into it before its signature is checked.
const SIGNED: [&str; 1] = ["/v1/billing/webhook"];
/// Largest signed body, bytes.
pub const MAX_SIGNED_BODY: usize = 256 * 1024;

/// What a body may cost.
#[derive(Clone, Copy, Debug)]
pub struct BodyRules {
    /// Largest body of this method and path, bytes.
    pub limit: fn(&Method, &str) -> usize,
    /// From the end of the head to the end of the body.
    pub timeout: Duration,
}

impl Default for BodyRules {
    fn default() -> Self {
        Self {
            limit,
            timeout: Duration::from_secs(30),
        }
    }
}

fn limit(_method: &Method, path: &str) -> usize {
    if SIGNED.contains(&path) {
        MAX_SIGNED_BODY
    } else if BULK.iter().any(|ending| path.ends_with(ending)) {
        MAX_BULK_BODY
    } else {
        MAX_BODY
    }
}

/// Reads the whole body and puts it back, if it is one that an operation may see.
///
/// # Errors
/// `body_too_large`, `request_timeout`, `unsupported_media_type`, `malformed_request` or `invalid_field`.
pub async fn admit(mut request: Request, rules: &BodyRules) -> Result<Request> {
    let body = request.take_body();
    if body.is_empty() {
        return Ok(request);
    }
    let limit = (rules.limit)(request.method(), request.uri().path());
    let declared = request
        .header(header::CONTENT_LENGTH)
        .and_then(|length| length.parse::<u64>().ok());
    if declared.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(too_large(limit));
    }
    if request
        .header(header::CONTENT_ENCODING)
        .is_some_and(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(problem(
            ProblemCode::UnsupportedMediaType,
            "Send the body without a content encoding.",
        ));
    }
    let bytes = tokio::time::timeout(rules.timeout, read(body, limit))
        .await
        .map_err(|_| problem(ProblemCode::RequestTimeout, "The body took too long to arrive."))??;
    if !SIGNED.contains(&request.uri().path()) {
        check_text(request.content_type().unwrap_or_default(), &bytes)?;
    }
    request.set_data(Admitted(bytes.clone()));
    request.set_body(bytes);
    Ok(request)
}

fn problem(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Error {
    Problem::new(code, detail).into()
}

fn too_large(limit: usize) -> Error {
    problem(ProblemCode::BodyTooLarge, format!("The body may have {limit} bytes."))
}

async fn read(body: Body, limit: usize) -> Result<Bytes> {
    let mut body: http_body_util::combinators::BoxBody<Bytes, std::io::Error> = body.into();
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let broken = |_| {
            problem(
                ProblemCode::MalformedRequest,
                "The body ended early or is framed wrongly.",
            )
        };
        // Trailers are read and dropped.
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if data.len() > limit - whole.len() {
            return Err(too_large(limit));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Checks bodies that are text by their media type; others are for their operation to judge.
fn check_text(content_type: &str, bytes: &[u8]) -> Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let media_type = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_json = media_type == "application/json" || media_type.ends_with("+json");
    let is_form = media_type == "application/x-www-form-urlencoded";
    if !(is_json || is_form || media_type.starts_with("text/")) {
        return Ok(());
    }
    let malformed = |detail: &'static str| problem(ProblemCode::MalformedRequest, detail);
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("The body is not valid UTF-8."))?;
    if text.contains('\0') {
        return Err(nul(None));
    }
    if is_json {
        json::check(bytes).map_err(|flaw| flawed(flaw, bytes))?;
    }
    if is_form {
        head::check_encoded(text).map_err(malformed)?;
    }
    Ok(())
}

fn flawed(flaw: Flaw, bytes: &[u8]) -> Error {
    let malformed = |detail: String| problem(ProblemCode::MalformedRequest, detail);
    match flaw {
        Flaw::Syntax { line, column } => malformed(format!("The body is no JSON from line {line}, column {column}.")),
        Flaw::TooDeep => malformed(format!("The body may be nested {} levels deep.", json::MAX_DEPTH)),
        Flaw::DuplicateKey => malformed("An object in the body has two members of one name.".to_owned()),
        Flaw::Nul => nul(json::place_of_nul(bytes)),
    }
}

/// The place is that of the field, if it can be told.
fn nul(place: Option<String>) -> Error {
    let field = place.filter(|place| !place.is_empty());
    let field = field.unwrap_or_else(|| "body".to_owned());
    Problem::field(field, "format", "must not contain U+0000").into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;

    use super::*;

    fn post(content_type: &str, body: impl Into<Body>) -> Request {
        Request::builder()
            .method(Method::POST)
            .content_type(content_type)
            .body(body)
    }

    async fn code(request: Request) -> Option<&'static str> {
        admit(request, &BodyRules::default())
            .await
            .err()
            .map(|error| error.into_problem().code.as_str())
    }

    #[tokio::test]
    async fn good_bodies_arrive_unchanged_and_a_get_needs_none() {
        let mut kept = admit(post("application/json", r#"{"a":1}"#), &BodyRules::default())
            .await
            .unwrap();
        assert_eq!(kept.take_body().into_string().await.unwrap(), r#"{"a":1}"#);
        assert_eq!(code(Request::builder().method(Method::GET).finish()).await, None);
        assert_eq!(code(post("application/json", "")).await, None);
        assert_eq!(code(post("application/octet-stream", vec![0_u8, 0xff])).await, None);
    }

    #[tokio::test]
    async fn bodies_that_are_no_text_of_their_kind_are_refused() {
        assert_eq!(
            code(post("application/json", "{\"a\":")).await,
            Some("malformed_request")
        );
        assert_eq!(
            code(post("application/json", b"\"\xff\"".to_vec())).await,
            Some("malformed_request")
        );
        assert_eq!(
            code(post("Application/Merge-Patch+JSON; charset=utf-8", r#""\u0000""#)).await,
            Some("invalid_field")
        );
        assert_eq!(code(post("application/json", "\"\0\"")).await, Some("invalid_field"));
        assert_eq!(code(post("text/csv", "a\0b")).await, Some("invalid_field"));
        assert_eq!(
            code(post("text/csv", b"a\xff".to_vec())).await,
            Some("malformed_request")
        );
        assert_eq!(
            code(post("application/x-www-form-urlencoded", "a=%00")).await,
            Some("malformed_request")
        );
        assert_eq!(
            code(post("application/json", "[".repeat(100_000))).await,
            Some("malformed_request")
        );
        let mut zipped = post("application/json", "{}");
        zipped
            .headers_mut()
            .insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(code(zipped).await, Some("unsupported_media_type"));
    }

    #[tokio::test]
    async fn a_declared_gigabyte_is_refused_unread() {
        let pulled = Arc::new(AtomicUsize::new(0));
        let mut request = post("application/json", endless(pulled.clone()));
        request
            .headers_mut()
            .insert(header::CONTENT_LENGTH, (1_u64 << 30).into());
        assert_eq!(code(request).await, Some("body_too_large"));
        assert_eq!(pulled.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn an_endless_body_is_read_to_its_limit_whatever_it_declares() {
        for declared in [None, Some(10_u64)] {
            let pulled = Arc::new(AtomicUsize::new(0));
            let mut request = post("application/json", endless(pulled.clone()));
            if let Some(declared) = declared {
                request.headers_mut().insert(header::CONTENT_LENGTH, declared.into());
            }
            assert_eq!(code(request).await, Some("body_too_large"));
            assert_eq!(pulled.load(Ordering::Relaxed), MAX_BODY / CHUNK + 1);
        }
    }

    #[tokio::test]
    async fn only_bulk_paths_take_four_mebibytes() {
        let body = format!("\"{}\"", "x".repeat(2 * MAX_BODY));
        for (path, expected) in [
            ("/v1/a/bulk", None),
            ("/v1/a/bulk-delete", None),
            ("/v1/a", Some("body_too_large")),
        ] {
            let request = Request::builder()
                .method(Method::POST)
                .uri_str(path)
                .content_type("application/json");
            assert_eq!(code(request.body(body.clone())).await, expected, "{path}");
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_times_out() {
        let never = Body::from_bytes_stream(stream::pending::<std::io::Result<Bytes>>());
        let rules = BodyRules {
            timeout: Duration::from_millis(20),
            ..BodyRules::default()
        };
        let refused = admit(post("application/json", never), &rules).await.unwrap_err();
        assert_eq!(refused.into_problem().code, ProblemCode::RequestTimeout);
    }

    const CHUNK: usize = 16 * 1024;

    fn endless(pulled: Arc<AtomicUsize>) -> Body {
        Body::from_bytes_stream(stream::repeat_with(move || {
            pulled.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; CHUNK]))
        }))
    }
}
