//! How often somebody may call. It is decided before anything of a body is read or a password hashed, so that guessing
//! costs the guesser more than us. The counts are this process's own, so that nothing is lost with Redis; what counts
//! against an account lies in the database, see [`domain::auth::throttle`].
//!
//! Whoever shows a credential is counted by their address until it has proven to be one: a new token for every request
//! gains nothing. From then on it has counts of its own, however it is spelled.

use std::net::IpAddr;
use std::time::Duration;

use domain::access::Caller;
use domain::kernel::id::CredentialId;
use domain::kernel::{Clock, Db, Problem, ProblemCode, Timestamp};
use domain::limits::Limit;
use domain::rates::{Buckets, Class, CountedBy, Standing, TooMany, plan};
use moka::sync::Cache;
use poem::Response;
use poem::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::authenticate::{API_KEY, Identity, cookie_name};
use super::client_ip::network;
use super::problem::respond;
use super::request::RequestContext;

/// Callers that are counted at one time; more share one count for each class.
const CALLERS: usize = 131_072;
/// Credentials that are known to be good.
const PROVEN: u64 = 65_536;
/// They are forgotten when they have been quiet for so long.
const QUIET: Duration = Duration::from_hours(1);
/// How long the plan of a credential is taken to be the same.
const PLAN_AGE: Duration = Duration::from_mins(1);

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    class: Class,
    who: Who,
}

/// Whom a request counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Network(IpAddr),
    Credential(CredentialId),
    /// All for whom there is no room.
    Others,
}

/// The beginning of the SHA-256 of a credential's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Fingerprint([u8; 16]);

/// A credential that was good when it was last looked at.
#[derive(Clone, Copy, Debug)]
struct Proven {
    credential: CredentialId,
    /// What the plan of its organisation allows; `None` without one.
    allowed: Option<Limit>,
    /// When the plan was looked at.
    as_of: Timestamp,
}

/// How a request was counted.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    class: Class,
    who: Who,
    /// The credential that was shown, where those are counted.
    shown: Option<Fingerprint>,
    standing: Standing,
}

/// Counts requests.
pub struct RateLimit(Option<Counting>);

struct Counting {
    clock: Clock,
    scale: f64,
    buckets: Buckets<Key>,
    proven: Cache<Fingerprint, Proven>,
}

impl RateLimit {
    /// Multiplies the limits by `scale`; 0 switches them off.
    pub fn new(scale: f64, clock: &Clock) -> Self {
        Self((scale > 0.0).then(|| Counting {
            clock: clock.clone(),
            scale,
            buckets: Buckets::new(CALLERS),
            proven: Cache::builder().max_capacity(PROVEN).time_to_idle(QUIET).build(),
        }))
    }

    /// Counts a request before anything of it is read. `None` when nothing is counted at all.
    ///
    /// # Errors
    /// The answer to give instead, `rate_limited`.
    pub fn admit(&self, class: Class, headers: &HeaderMap, client: IpAddr) -> Result<Option<Counted>, Box<Response>> {
        let Some(counting) = &self.0 else { return Ok(None) };
        let shown = match class.counted_by() {
            CountedBy::Network => None,
            CountedBy::Credential => Fingerprint::of(headers),
        };
        let proven = shown.and_then(|shown| counting.proven.get(&shown));
        let (who, allowed) = match proven {
            Some(Proven {
                credential, allowed, ..
            }) => (Who::Credential(credential), allowed),
            None => (Who::Network(network(client)), None),
        };
        let counted = counting.count(class, who, shown, allowed);
        counted.map(Some).map_err(|too_many| Box::new(refusal(too_many)))
    }

    /// Counts a request again once it is known whose it is, unless it was known before; remembers what the credential
    /// proved to be.
    ///
    /// # Errors
    /// The answer to give instead, `rate_limited`.
    pub async fn settle(&self, db: &Db, context: &RequestContext, identity: &Identity) -> Result<(), Box<Response>> {
        let (Some(counting), Some(counted)) = (&self.0, context.counted()) else {
            return Ok(());
        };
        if counted.class.counted_by() == CountedBy::Network {
            return Ok(());
        }
        match identity {
            Identity::Known(caller) => counting.prove(db, context, counted, caller).await,
            Identity::Refused(problem) => {
                let is_none = problem.code == ProblemCode::Unauthenticated;
                if let Some(shown) = counted.shown.filter(|_| is_none) {
                    counting.proven.invalidate(&shown);
                }
                Ok(())
            }
            Identity::Anonymous => Ok(()),
        }
    }
}

impl Counting {
    fn count(
        &self,
        class: Class,
        who: Who,
        shown: Option<Fingerprint>,
        allowed: Option<Limit>,
    ) -> Result<Counted, TooMany> {
        let others = Key {
            class,
            who: Who::Others,
        };
        let rate = plan::rate(class, allowed, self.scale);
        let standing = match self.buckets.count(Key { class, who }, others, rate, self.clock.now()) {
            Ok(standing) => standing,
            Err(too_many) if class.refuses() => return Err(too_many),
            Err(too_many) => too_many.standing(),
        };
        Ok(Counted {
            class,
            who,
            shown,
            standing,
        })
    }

    async fn prove(
        &self,
        db: &Db,
        context: &RequestContext,
        counted: Counted,
        caller: &Caller,
    ) -> Result<(), Box<Response>> {
        let Counted { class, who, shown, .. } = counted;
        let now = self.clock.now();
        let known = shown.and_then(|shown| self.proven.get(&shown));
        let known = known.filter(|known| known.credential == caller.credential);
        let allowed = match known {
            Some(known) if now.since(known.as_of) < PLAN_AGE => known.allowed,
            // Rare; what waits for a database is large, and would be moved about with every request.
            Some(_) | None => Box::pin(self.look_up(db, shown, caller, now)).await,
        };
        if who == Who::Credential(caller.credential) {
            return Ok(());
        }
        match self.count(class, Who::Credential(caller.credential), shown, allowed) {
            Ok(counted) => {
                context.set_counted(counted);
                Ok(())
            }
            Err(too_many) => {
                let standing = too_many.standing();
                context.set_counted(Counted { standing, ..counted });
                Err(Box::new(refusal(too_many)))
            }
        }
    }

    /// Remembers a good credential with what its plan allows.
    async fn look_up(&self, db: &Db, shown: Option<Fingerprint>, caller: &Caller, as_of: Timestamp) -> Option<Limit> {
        let allowed = match plan::allowed(db, caller).await {
            Ok(allowed) => allowed,
            Err(error) => {
                // The operation has the same trouble, and will say so.
                tracing::warn!(%error, "the plan of a credential could not be looked up");
                return None;
            }
        };
        if let Some(shown) = shown {
            let credential = caller.credential;
            let proven = Proven {
                credential,
                allowed,
                as_of,
            };
            self.proven.insert(shown, proven);
        }
        allowed
    }
}

impl Fingerprint {
    /// Of the one credential of a request, whatever is wrong with it.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = shown(headers)?;
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        digest.first_chunk().copied().map(Self)
    }
}

/// The text of a credential, as [`super::authenticate`] reads it.
fn shown(headers: &HeaderMap) -> Option<&str> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    if let Some(value) = headers.get(API_KEY) {
        return value.to_str().ok().map(str::trim);
    }
    let lines = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let mut cookies = lines
        .flat_map(|line| line.split(';'))
        .filter_map(|cookie| cookie.split_once('='));
    let ours = |name: &str| [true, false].map(cookie_name).contains(&name);
    cookies.find_map(|(name, value)| ours(name.trim()).then(|| value.trim()))
}

/// Whole seconds, the begun one counted.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn refusal(too_many: TooMany) -> Response {
    let wait = seconds(too_many.wait).max(1);
    let detail = format!("Too many requests. Wait {wait} seconds, then try again.");
    let mut response = respond(Problem::new(ProblemCode::RateLimited, detail).with("retry_after", wait));
    show(too_many.standing(), &mut response);
    response
}

/// Sets the headers that tell a client how far it may go.
fn show(standing: Standing, response: &mut Response) {
    let Standing {
        limit,
        remaining,
        reset,
    } = standing;
    let headers = response.headers_mut();
    headers.insert("x-ratelimit-limit", HeaderValue::from(limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(remaining));
    headers.insert("x-ratelimit-reset", HeaderValue::from(seconds(reset)));
}

impl Counted {
    /// Sets the headers that tell a client how far it may go.
    pub fn show(self, response: &mut Response) {
        show(self.standing, response);
    }
}

#[cfg(test)]
mod tests;
