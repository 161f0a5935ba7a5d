//! The headers of every response. There are none for CORS: no other origin may read an answer.

use poem::Response;
use poem::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::request::REQUEST_ID;

/// For a response that sets none: it is data and no page.
const CONTENT_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// A year, the least that preload lists ask for.
const TRANSPORT_SECURITY: &str = "max-age=31536000";

/// Headers that are the same on every response.
const FIXED: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// Headers that a handler may set for itself.
const DEFAULTS: [(HeaderName, &str); 2] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
];

/// Sets them. `https` says that the public address of this instance is an `https` one.
pub fn secure(response: &mut Response, request_id: &str, https: bool) {
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if https {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static(TRANSPORT_SECURITY),
        );
    }
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), id);
    }
    headers.remove(header::SERVER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handlers_own_choice_stands_where_it_may() {
        let mut response = Response::builder()
            .header("cache-control", "private, no-cache")
            .header("content-security-policy", "default-src 'self'")
            .header("server", "poem")
            .header("referrer-policy", "unsafe-url")
            .finish();
        secure(&mut response, "trace-0001", true);
        assert_eq!(response.header("cache-control"), Some("private, no-cache"));
        assert_eq!(response.header("content-security-policy"), Some("default-src 'self'"));
        assert_eq!(response.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(response.header("server"), None);
        assert_eq!(response.header("x-request-id"), Some("trace-0001"));
        assert_eq!(response.header("strict-transport-security"), Some("max-age=31536000"));
    }

    #[test]
    fn plain_responses_are_private_and_inert() {
        let mut response = Response::default();
        secure(&mut response, "trace-0001", false);
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("content-security-policy"), Some(CONTENT_POLICY));
        assert_eq!(response.header("strict-transport-security"), None);
        assert!(
            !response
                .headers()
                .keys()
                .any(|name| name.as_str().starts_with("access-control-"))
        );
    }
}
