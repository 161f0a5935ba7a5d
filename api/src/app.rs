//! The one state of the service.

use std::sync::Arc;

use domain::auth::password::Checks;
use domain::auth::throttle::Throttle;
use domain::backups::Plan;
use domain::crypto::key_store::KeyStore;
use domain::crypto::password::Passwords;
use domain::egress::EgressPolicy;
use domain::jobs::Bell;
use domain::journal::ReadAudit;
use domain::kernel::config::Registration;
use domain::kernel::{Db, Result};
use domain::secrets::WarmReads;
use domain::secrets::watchers::Watchers;
use domain::webhooks::followers::Followers;
use tokio::sync::Semaphore;
use url::Url;

use crate::http::write::Write;
use crate::setup::first_run::FirstRun;

/// What operations work with.
pub struct App {
    pub db: Db,
    pub keys: Arc<KeyStore>,
    pub passwords: Passwords,
    pub throttle: Throttle,
    pub bell: Arc<dyn Bell>,
    pub reads: ReadAudit,
    pub warm: WarmReads,
    /// Seats for walks over all that a project stores.
    pub walks: Semaphore,
    pub watchers: Arc<Watchers>,
    pub followers: Arc<Followers>,
    pub egress: EgressPolicy,
    pub registration: Registration,
    pub backups: Arc<Plan>,
    pub first_run: FirstRun,
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

    /// Whether browsers reach this instance over TLS.
    pub fn is_https(&self) -> bool {
        self.base_url.scheme() == "https"
    }
}
