//! What is known of a request before any operation sees it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use domain::access::Mark;
use domain::idempotency::Claim;
use domain::kernel::id::OrgId;
use domain::kernel::{Clock, Rng};
use poem::http::{HeaderMap, header};

use super::rate_limit::Counted;

/// The header that carries the request id, both ways.
pub const REQUEST_ID: &str = "x-request-id";
/// Longest kept `User-Agent`, characters.
const MAX_USER_AGENT: usize = 256;

tokio::task_local! {
    /// The request that this task works on.
    pub static CURRENT: Arc<RequestContext>;
}

/// One request, as logs and the journal know it. Also found in the request's extensions.
#[derive(Debug)]
pub struct RequestContext {
    /// In the response, in every log line and every journal row of this request.
    pub request_id: String,
    pub client_ip: IpAddr,
    /// At most 256 characters, none of them control characters.
    pub user_agent: Option<String>,
    decided: Arc<Mark>,
    claim: OnceLock<Claim>,
    counted: Mutex<Option<Counted>>,
}

impl RequestContext {
    /// Takes the request id and user agent from the headers; a missing or odd id is replaced.
    pub fn new(headers: &HeaderMap, client_ip: IpAddr, clock: &Clock, rng: &Rng) -> Self {
        let request_id = given_id(headers).map_or_else(|| new_id(clock, rng), str::to_owned);
        Self {
            request_id,
            client_ip,
            user_agent: user_agent(headers),
            decided: Arc::default(),
            claim: OnceLock::new(),
            counted: Mutex::new(None),
        }
    }

    /// The request of this task; `None` outside of one.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Notes that the access decision was asked about this request, whatever it said. An operation that answers
    /// without is stopped at the edge.
    pub fn mark_decided(&self) {
        self.decided.decide();
    }

    /// The mark itself, for the caller who carries it into the domain.
    pub fn decision_mark(&self) -> Arc<Mark> {
        self.decided.clone()
    }

    /// The organisation that the request came to, if it came to one.
    pub fn org(&self) -> Option<OrgId> {
        self.decided.org()
    }

    /// Keeps the claim of the request's `Idempotency-Key` until its change is committed.
    pub fn set_claim(&self, claim: Claim) {
        let _ = self.claim.set(claim);
    }

    /// The claim of the request's `Idempotency-Key`, if it has one.
    pub fn claim(&self) -> Option<&Claim> {
        self.claim.get()
    }

    /// Notes how the request was counted.
    pub fn set_counted(&self, counted: Counted) {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
    }

    /// How the request was counted; `None` when nothing is, or it was refused for that.
    pub fn counted(&self) -> Option<Counted> {
        *self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the access decision was asked.
    pub fn decided(&self) -> bool {
        self.decided.is_decided()
    }
}

/// The caller's id, if it is one, `[A-Za-z0-9._-]{8,128}`, and only one.
fn given_id(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(REQUEST_ID).iter();
    let id = given.next()?.to_str().ok()?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (given.next().is_none() && (8..=128).contains(&id.len()) && id.bytes().all(fits)).then_some(id)
}

fn new_id(clock: &Clock, rng: &Rng) -> String {
    // Without random numbers nothing else will work; the request must still be able to say so.
    let id = rng.uuid(clock.now()).unwrap_or_default();
    format!("req_{}", id.simple())
}

fn user_agent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::USER_AGENT)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn context(headers: &[(&'static str, &[u8])]) -> RequestContext {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        RequestContext::new(&map, [192, 0, 2, 1].into(), &Clock::system(), &Rng::seeded(1))
    }

    #[test]
    fn a_good_request_id_is_kept_and_any_other_replaced() {
        assert_eq!(context(&[(REQUEST_ID, b"trace-0001")]).request_id, "trace-0001");
        for bad in [
            &b"short"[..],
            b"has space",
            b"semi;colon",
            "ümlaut-id".as_bytes(),
            &[b'a'; 129],
        ] {
            let id = context(&[(REQUEST_ID, bad)]).request_id;
            assert!(id.starts_with("req_") && id.len() == 36, "{id}");
        }
        let twice = context(&[(REQUEST_ID, b"trace-0001"), (REQUEST_ID, b"trace-0002")]);
        assert!(twice.request_id.starts_with("req_"));
        assert_ne!(context(&[]).request_id.len(), 0);
    }

    #[test]
    fn user_agents_are_short_and_printable() {
        assert_eq!(context(&[]).user_agent, None);
        assert_eq!(
            context(&[("user-agent", b"curl/8\t\xff")]).user_agent.as_deref(),
            Some("curl/8\u{fffd}")
        );
        assert_eq!(context(&[("user-agent", &[b'x'; 900])]).user_agent.unwrap().len(), 256);
    }
}
