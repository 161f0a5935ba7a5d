//! What goes out and what came back.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::kernel::Timestamp;

/// Bytes of a response body that are kept.
pub const MAX_BODY: usize = 16 * 1024;
/// Bytes of a response header's value that are kept.
const MAX_HEADER: usize = 256;
/// Characters of an error text that are kept.
const MAX_ERROR: usize = 200;
/// Longest wait that a receiver can ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);
/// Response headers that are kept. Others could hold cookies or credentials of the receiver.
const KEPT_HEADERS: &[&str] = &[
    "content-type",
    "content-length",
    "date",
    "server",
    "retry-after",
    "x-request-id",
];

/// One POST to a place that a user chose.
pub struct OutboundRequest {
    /// Checked again right before it is called.
    pub url: String,
    /// Names and values; the client adds host, length and user agent.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// Sent as it is.
    pub body: Bytes,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A 2xx status and the whole body, or its first 16 KiB.
    Ok,
    /// Another status, redirects among them.
    Http,
    /// No full answer in time.
    Timeout,
    /// The name could not be resolved.
    Dns,
    /// No TLS session: bad certificate, no common version, no TLS at all.
    Tls,
    /// No connection, or one that broke before the answer was complete.
    Connect,
    /// Not sent: the URL, or every address of its name, is forbidden.
    Blocked,
}

impl Outcome {
    /// The outcome as stored and published: `timeout`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Http => "http",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Connect => "connect",
            Self::Blocked => "blocked",
        }
    }
}

/// The record of one request. Times are microseconds; a time is absent when the step did not take place, as on a
/// connection that was open already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// How it ended.
    pub outcome: Outcome,
    /// The status, once there was one, even if the body then failed.
    pub status: Option<u16>,
    /// Resolving the name.
    pub dns_us: Option<u32>,
    /// TCP and TLS handshakes, without resolving.
    pub connect_us: Option<u32>,
    /// From the start of the request to the response's headers.
    pub first_byte_us: Option<u32>,
    /// All of it.
    pub total_us: u32,
    /// The address that answered.
    pub remote_ip: Option<IpAddr>,
    /// The wait that the receiver asked for, at most 24 hours.
    pub retry_after: Option<Duration>,
    /// Allow-listed headers, names in lower case, values cut at 256 bytes.
    pub response_headers: Vec<(String, String)>,
    /// The body's first 16 KiB.
    pub body: Vec<u8>,
    /// Whether the body had more.
    pub body_truncated: bool,
    /// For people, without the URL: why there is no answer.
    pub error: Option<String>,
}

impl Exchange {
    /// An exchange of which nothing has happened yet; it reads as broken until it is finished.
    pub(super) fn begun() -> Self {
        Self {
            outcome: Outcome::Connect,
            status: None,
            dns_us: None,
            connect_us: None,
            first_byte_us: None,
            total_us: 0,
            remote_ip: None,
            retry_after: None,
            response_headers: Vec::new(),
            body: Vec::new(),
            body_truncated: false,
            error: None,
        }
    }

    pub(super) fn fail(&mut self, outcome: Outcome, error: &str) {
        self.outcome = outcome;
        self.error = Some(error.chars().filter(|c| !c.is_control()).take(MAX_ERROR).collect());
    }

    /// Takes what the response's head says. `now` reads a `Retry-After` that is a date.
    pub(super) fn read_head(&mut self, response: &reqwest::Response, now: Timestamp) {
        self.status = Some(response.status().as_u16());
        self.remote_ip = response.remote_addr().map(|addr| addr.ip().to_canonical());
        self.response_headers = kept_headers(response.headers());
        self.retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| wait(text, now));
    }

    /// Adds a part of the body; tells whether there is room for more.
    pub(super) fn read_body(&mut self, chunk: &[u8]) -> bool {
        let room = MAX_BODY.saturating_sub(self.body.len());
        self.body.extend(chunk.iter().take(room));
        self.body_truncated = chunk.len() > room;
        !self.body_truncated
    }
}

fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    KEPT_HEADERS
        .iter()
        .filter_map(|&name| {
            let value = headers.get(name)?.as_bytes();
            let kept = value.get(..MAX_HEADER).unwrap_or(value);
            Some((name.to_owned(), String::from_utf8_lossy(kept).into_owned()))
        })
        .collect()
}

/// Reads `Retry-After`: seconds or an HTTP date. `None` if it is neither.
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are still a wait, and a long one.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let at = OffsetDateTime::parse(text, &Rfc2822).ok()?.unix_timestamp();
        Timestamp::from_micros(at.saturating_mul(1_000_000)).since(now)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_more_than_a_day() {
        let now = Timestamp::parse("1994-11-06T08:47:37Z").unwrap();
        for (text, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("86401", Some(86_400)),
            ("99999999999999999999999999", Some(86_400)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(120)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Wed, 01 Jan 2098 00:00:00 GMT", Some(86_400)),
            ("-5", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(wait(text, now).map(|wait| wait.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn the_body_stops_at_its_limit() {
        let mut exchange = Exchange::begun();
        assert!(exchange.read_body(&vec![b'a'; MAX_BODY]) && !exchange.body_truncated);
        assert!(!exchange.read_body(b"b") && exchange.body_truncated);
        assert_eq!(exchange.body.len(), MAX_BODY);
    }

    #[test]
    fn only_listed_headers_are_kept_and_cut() {
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", "session=1".parse().unwrap());
        headers.insert("server", "s".repeat(1000).parse().unwrap());
        let kept = kept_headers(&headers);
        assert_eq!(kept, vec![("server".to_owned(), "s".repeat(MAX_HEADER))]);
    }

    #[test]
    fn error_texts_are_one_short_line() {
        let mut exchange = Exchange::begun();
        exchange.fail(Outcome::Tls, &format!("bad\r\n{}", "x".repeat(1000)));
        assert_eq!(exchange.error.unwrap().len(), MAX_ERROR);
    }
}
