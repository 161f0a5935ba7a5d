//! The secrets of endpoints, opened, for a few seconds: a busy endpoint would have them read with every claim.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::kernel::Timestamp;
use domain::kernel::id::WebhookId;
use domain::webhooks::endpoint::Webhook;
use domain::webhooks::secrets::Secrets;
use tokio::time::Instant;

/// How long they are kept: so much longer does a secret sign that has ended.
const KEPT: Duration = Duration::from_secs(5);
/// Endpoints at most; beyond that all are forgotten.
const MOST: usize = 10_000;
/// An endpoint that changed so lately may change again within the same instant.
const SETTLED: Duration = Duration::from_secs(1);

struct Entry {
    /// A rotation moves it on.
    updated_at: Timestamp,
    since: Instant,
    secrets: Arc<Secrets>,
}

/// Opened secrets by endpoint.
#[derive(Default)]
pub(crate) struct SecretCache(Mutex<HashMap<WebhookId, Entry>>);

impl SecretCache {
    /// The secrets of an endpoint as it is now.
    pub(crate) fn get(&self, webhook: &Webhook) -> Option<Arc<Secrets>> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&webhook.id)?;
        let is_good = entry.updated_at == webhook.updated_at && entry.since.elapsed() < KEPT;
        is_good.then(|| Arc::clone(&entry.secrets))
    }

    pub(crate) fn keep(&self, webhook: &Webhook, secrets: &Arc<Secrets>, now: Timestamp) {
        if now.since(webhook.updated_at) < SETTLED {
            return;
        }
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MOST {
            entries.clear();
        }
        let entry = Entry {
            updated_at: webhook.updated_at,
            since: Instant::now(),
            secrets: Arc::clone(secrets),
        };
        entries.insert(webhook.id, entry);
    }
}
