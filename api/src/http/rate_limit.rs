//! How often one address may knock where passwords, codes and tokens are tried without a credential. It comes before
//! anything is read or hashed, so that guessing costs the guesser more than us. The count is this process's own; what
//! counts against an account lies in the database, see [`domain::auth::throttle`].

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::kernel::{Clock, Problem, ProblemCode};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use poem::http::{HeaderValue, Method};
use poem::{Request, Response};

use super::client_ip::network;
use super::problem::respond;

/// Requests a minute of one IPv4 address or IPv6 /64. Source: design of the API, rate limits.
const PER_MINUTE: f64 = 300.0;
/// What they are counted for: changes that need no credential, and looks at invitations.
const GUARDED: [&str; 19] = [
    "/v1/auth/login",
    "/v1/auth/token/refresh",
    "/v1/auth/register",
    "/v1/auth/register/verify",
    "/v1/auth/register/complete",
    "/v1/auth/register/resend",
    "/v1/auth/code",
    "/v1/auth/code/verify",
    "/v1/auth/2fa/verify",
    "/v1/auth/password/forgot",
    "/v1/auth/password/reset",
    "/v1/auth/email/verify",
    "/v1/setup/create-admin",
    "/v1/auth/device",
    "/oauth/device",
    "/oauth/token",
    "/oauth/revoke",
    "/oauth/introspect",
    "/sign-in",
];
/// Behind this comes the token of an invitation.
const INVITES: &str = "/v1/invites/";
/// Behind that, to accept it.
const ACCEPT: &str = "/accept";
/// Between these stands an organisation whose realm gives tokens.
const REALMS: (&str, [&str; 2]) = ("/v1/orgs/", ["tokens", "tokens/revoke"]);
/// Addresses that have been quiet are forgotten every so many requests.
const FORGET_EVERY: u32 = 1024;

/// The clock of the process, as the limiter reads it.
struct Ticks(Clock);

impl governor::clock::Clock for Ticks {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(u64::try_from(self.0.now().micros()).unwrap_or(0).saturating_mul(1000))
    }
}

type Limiter = RateLimiter<IpAddr, DashMapStateStore<IpAddr>, Ticks, StateInformationMiddleware>;

/// Counts requests by address.
pub struct RateLimit(Option<Counting>);

struct Counting {
    limiter: Limiter,
    clock: Clock,
    quota: Quota,
    seen: AtomicU32,
}

/// Where an address stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    limit: u32,
    remaining: u32,
    /// Seconds until all of it may be used again.
    reset: u64,
}

impl RateLimit {
    /// Multiplies the limits by `scale`; 0 switches them off.
    pub fn new(scale: f64, clock: &Clock) -> Self {
        let counting = quota(scale).map(|quota| Counting {
            limiter: Limiter::new(quota, DashMapStateStore::default(), Ticks(clock.clone())),
            clock: clock.clone(),
            quota,
            seen: AtomicU32::new(0),
        });
        Self(counting)
    }

    /// Counts a request, if it is one that is counted.
    ///
    /// # Errors
    /// The answer to give instead, `rate_limited`.
    pub fn admit(&self, request: &Request, client: IpAddr) -> Result<Option<Standing>, Box<Response>> {
        match &self.0 {
            Some(counting) if is_guarded(request) => counting.count(network(client)).map(Some),
            Some(_) | None => Ok(None),
        }
    }
}

fn quota(scale: f64) -> Option<Quota> {
    if scale <= 0.0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what fits right before"
    )]
    let limit = (PER_MINUTE * scale).round().clamp(1.0, f64::from(u32::MAX)) as u32;
    let limit = NonZeroU32::new(limit)?;
    Some(Quota::with_period(Duration::from_mins(1) / limit.get())?.allow_burst(limit))
}

fn is_guarded(request: &Request) -> bool {
    let path = request.uri().path();
    let invitation = path.strip_prefix(INVITES);
    let (orgs, ends) = REALMS;
    let realm = path.strip_prefix(orgs).and_then(|rest| rest.split_once('/'));
    let is_realm = realm.is_some_and(|(_, rest)| ends.contains(&rest));
    match *request.method() {
        Method::POST => GUARDED.contains(&path) || is_realm || invitation.is_some_and(|rest| rest.ends_with(ACCEPT)),
        Method::GET | Method::HEAD => invitation.is_some(),
        _ => false,
    }
}

impl Counting {
    fn count(&self, client: IpAddr) -> Result<Standing, Box<Response>> {
        if self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(FORGET_EVERY) {
            self.limiter.retain_recent();
        }
        let limit = self.quota.burst_size().get();
        match self.limiter.check_key(&client) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = limit.saturating_sub(remaining);
                let reset = seconds(self.quota.replenish_interval() * used);
                Ok(Standing {
                    limit,
                    remaining,
                    reset,
                })
            }
            Err(not_until) => {
                let now = governor::clock::Clock::now(&Ticks(self.clock.clone()));
                Err(Box::new(too_many(limit, seconds(not_until.wait_time_from(now)).max(1))))
            }
        }
    }
}

/// Whole seconds, the begun one counted.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn too_many(limit: u32, wait: u64) -> Response {
    let detail = format!("Too many attempts from this address. Wait {wait} seconds, then try again.");
    let mut response = respond(Problem::new(ProblemCode::RateLimited, detail).with("retry_after", wait));
    let standing = Standing {
        limit,
        remaining: 0,
        reset: wait,
    };
    standing.show(&mut response);
    response
}

impl Standing {
    /// Sets the headers that tell a client how far it may go.
    pub fn show(self, response: &mut Response) {
        let Self {
            limit,
            remaining,
            reset,
        } = self;
        let headers = response.headers_mut();
        headers.insert("x-ratelimit-limit", HeaderValue::from(limit));
        headers.insert("x-ratelimit-remaining", HeaderValue::from(remaining));
        headers.insert("x-ratelimit-reset", HeaderValue::from(reset));
    }
}

#[cfg(test)]
mod tests {
    use domain::kernel::Timestamp;

    use super::*;

    fn knock(limit: &RateLimit, method: Method, path: &str, ip: &str) -> Result<Option<Standing>, u64> {
        let request = Request::builder().method(method).uri_str(path).finish();
        let admitted = limit.admit(&request, ip.parse().unwrap());
        admitted.map_err(|response| response.header("retry-after").unwrap().parse().unwrap())
    }

    fn login(limit: &RateLimit, ip: &str) -> Result<Option<Standing>, u64> {
        knock(limit, Method::POST, "/v1/auth/login", ip)
    }

    #[test]
    fn an_address_has_its_share_of_every_minute() {
        let clock = Clock::manual(Timestamp(1_900_000_000_000_000));
        let limit = RateLimit::new(0.01, &clock);
        for remaining in [2, 1, 0] {
            let standing = login(&limit, "192.0.2.1").unwrap().unwrap();
            assert_eq!((standing.limit, standing.remaining), (3, remaining));
            assert_eq!(standing.reset, u64::from(3 - remaining) * 20);
        }
        assert_eq!(login(&limit, "192.0.2.1"), Err(20));
        assert!(login(&limit, "192.0.2.2").is_ok(), "others are not held up");
        clock.advance(Duration::from_secs(19));
        assert_eq!(login(&limit, "192.0.2.1"), Err(1));
        clock.advance(Duration::from_secs(1));
        assert!(login(&limit, "192.0.2.1").is_ok());
        assert!(login(&limit, "192.0.2.1").is_err());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_what_is_not_guessed_is_not_counted() {
        let limit = RateLimit::new(0.001, &Clock::system());
        assert!(login(&limit, "2001:db8::1").is_ok());
        assert!(login(&limit, "2001:db8::2").is_err());
        assert!(login(&limit, "2001:db8:0:1::1").is_ok());
        for (method, path) in [
            (Method::GET, "/v1/auth/login"),
            (Method::POST, "/v1/orgs"),
            (Method::POST, "/v1/invites/srm_inv_x"),
        ] {
            assert_eq!(knock(&limit, method, path, "2001:db8::1"), Ok(None), "{path}");
        }
        for (method, path) in [
            (Method::POST, "/v1/invites/srm_inv_x/accept"),
            (Method::GET, "/v1/invites/srm_inv_x"),
            (Method::HEAD, "/v1/invites/srm_inv_x"),
        ] {
            assert!(knock(&limit, method, path, "2001:db8::1").is_err(), "{path}");
        }
    }

    #[test]
    fn nothing_is_counted_when_it_is_off() {
        let limit = RateLimit::new(0.0, &Clock::system());
        for _ in 0..1000 {
            assert_eq!(login(&limit, "192.0.2.1"), Ok(None));
        }
    }

    #[test]
    fn quiet_addresses_are_forgotten() {
        let clock = Clock::manual(Timestamp(1_900_000_000_000_000));
        let limit = RateLimit::new(1.0, &clock);
        for last in 0..200_u32 {
            assert!(login(&limit, &format!("192.0.2.{last}")).is_ok());
        }
        clock.advance(Duration::from_mins(2));
        for _ in 0..FORGET_EVERY {
            let _ = login(&limit, "198.51.100.1");
        }
        let known = limit.0.as_ref().map_or(0, |counting| counting.limiter.len());
        assert!(known <= 2, "{known}");
    }
}
