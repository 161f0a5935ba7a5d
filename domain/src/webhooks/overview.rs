//! Endpoints with what is to be known of them at a glance.

use super::delivery::{self, Delivery};
use super::endpoint::{self, Webhook};
use super::recovery::{self, Recovery};
use super::secrets;
use crate::access::OrgAccess;
use crate::access::grant::WebhooksRead;
use crate::jobs::{Health, health};
use crate::kernel::id::WebhookId;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Reads, Result};

/// Deliveries that are shown with an endpoint.
const RECENT: u64 = 10;

/// An endpoint with its health and the public key that verifies its deliveries.
#[derive(Clone, Debug)]
pub struct Observed {
    pub webhook: Webhook,
    /// `whpk_…`; `None` for one that is older than key pairs.
    pub public_key: Option<String>,
    pub health: Health,
}

/// How an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthState {
    Healthy,
    /// The last attempt failed.
    Failing,
    /// It is switched off.
    Disabled,
}

impl Observed {
    pub fn state(&self) -> HealthState {
        match (self.webhook.enabled, self.health.failing_since) {
            (false, _) => HealthState::Disabled,
            (true, Some(_)) => HealthState::Failing,
            (true, None) => HealthState::Healthy,
        }
    }
}

/// An endpoint with all that is to be known of it.
#[derive(Clone, Debug)]
pub struct Overview {
    pub observed: Observed,
    /// Newest first.
    pub recent: Vec<Delivery>,
    /// The last one that was asked for.
    pub recovery: Option<Recovery>,
}

/// The endpoints of an organisation with their health, oldest first.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(from: &impl Reads, access: &OrgAccess<WebhooksRead>, page: PageRequest) -> Result<Page<Observed>> {
    let webhooks = endpoint::list(from, access, page).await?;
    let ids: Vec<WebhookId> = webhooks.data.iter().map(|webhook| webhook.id).collect();
    let healths = health::of(from, ids.clone()).await?;
    let mut public_keys = secrets::public_keys(from, ids).await?;
    Ok(webhooks.map(|webhook| Observed {
        health: healths.get(&webhook.id).copied().unwrap_or_default(),
        public_key: public_keys.remove(&webhook.id),
        webhook,
    }))
}

/// One endpoint of the organisation.
///
/// # Errors
/// `not_found`.
pub async fn get(from: &impl Reads, access: &OrgAccess<WebhooksRead>, id: &str) -> Result<Overview> {
    let webhook = endpoint::get(from, access, id).await?;
    let id = webhook.id;
    Ok(Overview {
        observed: observe(from, webhook).await?,
        recent: delivery::newest(from, id, RECENT).await?,
        recovery: recovery::last(from, id).await?,
    })
}

/// The health and the public key of an endpoint beside it.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn observe(from: &impl Reads, webhook: Webhook) -> Result<Observed> {
    let healths = health::of(from, vec![webhook.id]).await?;
    let health = healths.get(&webhook.id).copied().unwrap_or_default();
    let public_key = secrets::public_keys(from, vec![webhook.id]).await?.remove(&webhook.id);
    Ok(Observed {
        webhook,
        public_key,
        health,
    })
}
