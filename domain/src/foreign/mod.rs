//! Tokens of other issuers: their settings and keys, fetched through the one way out and kept for a while, and the check
//! of a token against them. Who may be an issuer is for others to say: nothing here is fetched because a token names it.

mod check;
mod keys;
mod metadata;

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;

pub use check::Expected;
pub use metadata::{DISCOVERY, Metadata};

use self::keys::Keys;
use crate::egress::{Egress, EgressPolicy, Fetch, Fetched, Outcome, Timeouts};
use crate::kernel::{Clock, Result, Timestamp};

/// Issuers whose settings and keys are remembered.
const REMEMBERED: u64 = 1000;
/// Longest answer of an issuer, bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// Why something of an issuer's is not taken. The texts are ours and name nothing that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It does not answer, or not as it must.
    Unreachable(String),
    /// What it or its token says is not taken.
    Refused(&'static str),
}

impl Failure {
    /// For people who look after it, and the log.
    pub fn reason(&self) -> &str {
        match self {
            Self::Unreachable(reason) => reason,
            Self::Refused(reason) => reason,
        }
    }
}

pub type Checked<T> = std::result::Result<T, Failure>;

/// Something fetched, and when.
pub(crate) struct Kept<T> {
    at: Timestamp,
    value: T,
}

/// What is known of issuers. One for a process.
pub struct Issuers {
    egress: Egress,
    metadata: Cache<String, Arc<Kept<Metadata>>>,
    keys: Cache<String, Arc<Keys>>,
}

impl Issuers {
    /// # Errors
    /// [`crate::kernel::Error::Internal`] when TLS cannot be set up.
    pub fn new(policy: EgressPolicy, clock: Clock) -> Result<Self> {
        let timeouts = Timeouts {
            connect: Duration::from_secs(3),
            wall: Duration::from_secs(5),
        };
        Ok(Self {
            egress: Egress::new(policy, timeouts)?.with_clock(clock),
            metadata: Cache::builder().max_capacity(REMEMBERED).build(),
            keys: Cache::builder().max_capacity(REMEMBERED).build(),
        })
    }

    /// Which addresses may be called.
    pub fn policy(&self) -> &EgressPolicy {
        self.egress.policy()
    }

    /// Gets something, or posts a form.
    pub async fn fetch(&self, url: &str, authorization: Option<String>, form: Option<String>) -> Fetched {
        let headers = authorization.map(|value| ("authorization".into(), value));
        let fetch = Fetch {
            url: url.to_owned(),
            headers: headers.into_iter().collect(),
            form,
            limit: MAX_ANSWER,
        };
        self.egress.fetch(fetch).await
    }

    /// The same, for JSON.
    pub(crate) async fn fetch_json<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        url: &str,
        authorization: Option<String>,
        form: Option<String>,
    ) -> Checked<T> {
        let fetched = self.fetch(url, authorization, form).await;
        if fetched.outcome != Outcome::Ok {
            let why = fetched.error.unwrap_or_default();
            return Err(Failure::Unreachable(format!(
                "{what}: {} ({why})",
                fetched.outcome.as_str()
            )));
        }
        serde_json::from_slice(&fetched.body)
            .map_err(|_| Failure::Unreachable(format!("{what}: it does not answer as it must")))
    }
}
