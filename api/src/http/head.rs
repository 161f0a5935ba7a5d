//! Checks of a request's head: sizes, and spellings of a path that two readers could read differently. Nothing is
//! normalised; a path that needs it is refused.

use domain::kernel::{Error, Problem, ProblemCode, Result};
use poem::Request;

/// Longest path and query together, bytes.
pub const MAX_TARGET: usize = 8 * 1024;
/// Longest head without its request line, bytes.
pub const MAX_HEADERS: usize = 16 * 1024;
/// What a header takes beside its name and value: `: ` and the line break.
const HEADER_OVERHEAD: usize = 4;

/// # Errors
/// `uri_too_long`, `headers_too_large`, or `malformed_request` for a path or query that is not plain.
pub fn check(request: &Request) -> Result<()> {
    let uri = request.uri();
    if uri.path_and_query().map_or(0, |target| target.as_str().len()) > MAX_TARGET {
        return Err(Problem::new(
            ProblemCode::UriTooLong,
            format!("Path and query may have {MAX_TARGET} bytes."),
        )
        .into());
    }
    let size = |(name, value): (&poem::http::HeaderName, &poem::http::HeaderValue)| {
        name.as_str().len() + value.len() + HEADER_OVERHEAD
    };
    if request.headers().iter().map(size).sum::<usize>() > MAX_HEADERS {
        return Err(Problem::new(
            ProblemCode::HeadersTooLarge,
            format!("Headers may have {MAX_HEADERS} bytes."),
        )
        .into());
    }
    check_path(uri.path()).map_err(malformed)?;
    check_encoded(uri.query().unwrap_or_default()).map_err(malformed)
}

fn malformed(detail: &'static str) -> Error {
    Problem::new(ProblemCode::MalformedRequest, detail).into()
}

fn check_path(path: &str) -> Result<(), &'static str> {
    let Some(rest) = path.strip_prefix('/') else {
        return Err("The request target must be a path.");
    };
    if rest.is_empty() {
        return Ok(());
    }
    rest.split('/').try_for_each(check_segment)
}

fn check_segment(segment: &str) -> Result<(), &'static str> {
    let segment = decode(segment).ok_or("The path has a broken percent-encoding.")?;
    let segment = text(&segment).ok_or("The path is not valid UTF-8.")?;
    match segment {
        "" => Err("The path has an empty segment: drop the doubled or trailing slash."),
        "." | ".." => Err("The path must not have `.` or `..` segments."),
        _ if segment.contains(['/', '\\', ';']) || segment.contains(char::is_control) => {
            Err("A segment of the path has a character that none may have.")
        }
        _ => Ok(()),
    }
}

/// Checks a query or a form, which are encoded alike.
///
/// # Errors
/// What is wrong, as a sentence.
pub fn check_encoded(encoded: &str) -> Result<(), &'static str> {
    let decoded = decode(encoded).ok_or("The query or form has a broken percent-encoding.")?;
    let text = text(&decoded).ok_or("The query or form is not valid UTF-8.")?;
    if text.contains('\0') {
        Err("The query or form has a NUL character.")
    } else {
        Ok(())
    }
}

/// A text as it was sent, or the bytes that it stands for.
enum Decoded<'a> {
    Plain(&'a str),
    Bytes(Vec<u8>),
}

/// `None` for what is no UTF-8.
fn text<'a>(decoded: &'a Decoded<'_>) -> Option<&'a str> {
    match decoded {
        Decoded::Plain(text) => Some(text),
        Decoded::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
    }
}

/// `None` for a `%` without two hexadecimal digits. Most texts have no `%` at all.
fn decode(text: &str) -> Option<Decoded<'_>> {
    if !text.contains('%') {
        return Some(Decoded::Plain(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |byte: Option<u8>| {
        char::from(byte?)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            digit(bytes.next())? << 4 | digit(bytes.next())?
        } else {
            byte
        });
    }
    Some(Decoded::Bytes(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_pass() {
        for path in [
            "/",
            "/v1/orgs",
            "/v1/orgs/acme/secrets/DB_URL.1",
            "/v1/a%20b",
            "/.well-known/jwks.json",
            "/v1/%C3%A9",
        ] {
            assert_eq!(check_path(path), Ok(()), "{path}");
        }
    }

    #[test]
    fn paths_that_two_readers_could_read_differently_do_not() {
        for path in [
            "",
            "*",
            "v1",
            "//",
            "/v1//orgs",
            "/v1/orgs/",
            "/v1/./orgs",
            "/v1/../orgs",
            "/v1/%2e%2E/orgs",
            "/v1/a%2fb",
            "/v1/a%5cb",
            "/v1/a\\b",
            "/v1/a%00",
            "/v1/a;b=c",
            "/v1/a%3Bb",
            "/v1/%",
            "/v1/%4",
            "/v1/%zz",
            "/v1/%ff",
            "/v1/%c0%af",
            "/v1/%0a",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn queries_are_valid_text() {
        for query in ["", "a=b&c=%C3%A9+d", "q=/../;"] {
            assert_eq!(check_encoded(query), Ok(()), "{query}");
        }
        for query in ["a=%", "a=%0", "a=%gg", "a=%ff", "a=%00"] {
            assert!(check_encoded(query).is_err(), "{query}");
        }
    }
}
