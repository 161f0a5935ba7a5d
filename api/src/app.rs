//! The one state of the service.

use std::sync::Arc;

use domain::access::AccessMemory;
use domain::auth::Lookups;
use domain::auth::password::Checks;
use domain::auth::throttle::Throttle;
use domain::backups::Plan;
use domain::billing::Billing;
use domain::crypto::key_store::KeyStore;
use domain::crypto::password::Passwords;
use domain::egress::EgressPolicy;
use domain::foreign::Issuers;
use domain::jobs::Bell;
use domain::journal::ReadAudit;
use domain::kernel::config::Registration;
use domain::kernel::{Db, Result};
use domain::limits::meter::Meter;
use domain::metrics::Registry;
use domain::oauth::Minter;
use domain::request_metrics::Recorder;
use domain::secrets::WarmReads;
use domain::secrets::together::Writers;
use domain::secrets::watchers::Watchers;
use domain::signing::Signer;
use domain::webhooks::followers::Followers;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;
use worker::Traces;

use crate::http::write::Write;
use crate::setup::first_run::FirstRun;

/// What operations work with.
pub struct App {
    pub db: Db,
    pub keys: Arc<KeyStore>,
    /// Looks the credentials of requests up.
    pub lookups: Lookups,
    pub passwords: Passwords,
    pub throttle: Throttle,
    pub bell: Arc<dyn Bell>,
    pub reads: ReadAudit,
    pub warm: WarmReads,
    pub writers: Arc<Writers>,
    pub access: AccessMemory,
    /// Seats for walks over all that a project stores.
    pub walks: Semaphore,
    pub watchers: Arc<Watchers>,
    pub followers: Arc<Followers>,
    /// Counts requests for organisations.
    pub meter: Arc<Meter>,
    pub egress: EgressPolicy,
    pub registration: Registration,
    pub signer: Signer,
    /// Settings and keys of other issuers.
    pub issuers: Issuers,
    pub backups: Arc<Plan>,
    pub first_run: FirstRun,
    /// The figures of this process, for Prometheus.
    pub metrics: Registry,
    /// The requests of this process, by hour.
    pub requests: Arc<Recorder>,
    /// Where this process tells of requests and jobs.
    pub traces: Traces,
    /// Cancelled when this process is about to stop.
    pub draining: CancellationToken,
    pub billing: Billing,
    /// Where people reach this instance.
    pub base_url: Url,
}

impl App {
    /// Opens the transaction of a change.
    ///
    /// # Errors
    /// [`domain::kernel::Error::Db`].
    pub async fn begin_write(&self) -> Result<Write<'_>> {
        Write::begin(self).await
    }

    /// What checking a password takes.
    pub fn checks(&self) -> Checks<'_> {
        Checks {
            db: &self.db,
            macs: self.keys.token_mac(),
            passwords: &self.passwords,
            throttle: &self.throttle,
        }
    }

    /// This instance as tokens name it: its public address without the slash at the end.
    pub fn issuer(&self) -> &str {
        self.base_url.as_str().trim_end_matches('/')
    }

    /// What making OAuth tokens takes.
    pub fn minter(&self) -> Minter<'_> {
        Minter {
            keys: &self.keys,
            signer: &self.signer,
            issuer: self.issuer(),
        }
    }

    /// Whether browsers reach this instance over TLS.
    pub fn is_https(&self) -> bool {
        self.base_url.scheme() == "https"
    }
}
