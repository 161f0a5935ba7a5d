//! Delivers an event to a webhook endpoint. Endpoints, events and signing secrets are loaded once a batch.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use domain::crypto::key_store::KeyStore;
use domain::egress::{Egress, Exchange, OutboundRequest, Outcome};
use domain::jobs::{AttemptLog, Bell, Cause, Claimed, Verdict};
use domain::kernel::id::{EventId, WebhookId};
use domain::kernel::{Db, Error, Reads, Result};
use domain::webhooks::disabling::{self, DisableReason};
use domain::webhooks::secrets::{self, Secrets};
use domain::webhooks::{delivery, payload, signature};
use futures_util::StreamExt;
use futures_util::stream;

use super::secret_cache::SecretCache;
use crate::run::{Ending, Step, retry};

/// Endpoints whose secrets are loaded at the same time.
const SECRETS_AT_ONCE: usize = 4;
/// The status of a receiver that wants nothing any more.
const GONE: u16 = 410;

/// Why an endpoint's secrets are not there.
#[derive(Clone, Copy)]
enum NoSecrets {
    /// The database did not answer.
    Unreachable,
    /// They do not open, or there are none: another try at once would not help.
    Broken,
}

/// Delivers webhooks.
pub(crate) struct DeliverWebhook {
    pub(crate) db: Db,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) bell: Arc<dyn Bell>,
    pub(crate) egress: Egress,
    pub(crate) opened: Arc<SecretCache>,
}

/// What the deliveries of one batch share.
#[derive(Default)]
pub(crate) struct Batch {
    /// `None` when it could not be loaded.
    material: Option<delivery::Material>,
    secrets: HashMap<WebhookId, Result<Arc<Secrets>, NoSecrets>>,
    /// Bodies without hashes, which are the same for every endpoint.
    bodies: HashMap<EventId, Bytes>,
}

impl DeliverWebhook {
    /// Loads what these jobs need; jobs of other kinds need nothing.
    pub(crate) async fn load(&self, jobs: impl Iterator<Item = &Claimed>) -> Batch {
        let (mut webhooks, mut events) = (BTreeSet::new(), BTreeSet::new());
        for job in jobs {
            webhooks.extend(job.webhook_id);
            events.extend(job.event_id);
        }
        if webhooks.is_empty() {
            return Batch::default();
        }
        let (webhooks, events) = (webhooks.into_iter().collect(), events.into_iter().collect());
        let material = match delivery::material(&self.db, webhooks, events).await {
            Ok(material) => material,
            Err(error) => {
                tracing::warn!(%error, "cannot load what deliveries need");
                return Batch::default();
            }
        };
        let mut secrets = HashMap::new();
        let mut unknown: Vec<WebhookId> = Vec::new();
        for (id, webhook) in &material.webhooks {
            match self.opened.get(webhook) {
                Some(opened) => {
                    secrets.insert(*id, Ok(opened));
                }
                None => unknown.push(*id),
            }
        }
        let mut loading = stream::iter(unknown)
            .map(|id| async move { (id, self.secrets(id).await) })
            .buffer_unordered(SECRETS_AT_ONCE);
        while let Some((id, loaded)) = loading.next().await {
            if let (Some(webhook), Ok(loaded)) = (material.webhooks.get(&id), &loaded) {
                self.opened.keep(webhook, loaded, self.db.now());
            }
            secrets.insert(id, loaded);
        }
        Batch {
            material: Some(material),
            secrets,
            bodies: HashMap::new(),
        }
    }

    async fn secrets(&self, webhook: WebhookId) -> Result<Arc<Secrets>, NoSecrets> {
        match secrets::of(&self.db, &self.keys, webhook).await {
            Ok(secrets) if secrets.signing.is_empty() => {
                tracing::error!(%webhook, "a webhook has no signing secret");
                Err(NoSecrets::Broken)
            }
            Ok(secrets) => Ok(Arc::new(secrets)),
            Err(error) => {
                tracing::error!(%error, %webhook, "cannot load the signing secrets of a webhook");
                match error {
                    Error::Db(_) => Err(NoSecrets::Unreachable),
                    Error::Problem(_) | Error::Internal(_) => Err(NoSecrets::Broken),
                }
            }
        }
    }

    async fn deliver(self: Arc<Self>, job: Claimed, parcel: Parcel) -> Ending {
        let Parcel {
            webhook,
            event,
            url,
            body,
            secrets,
        } = parcel;
        // Receivers refuse what is dated long ago, or to come: the clock of this machine may be wrong.
        let (id, at) = (event.to_string(), self.db.agreed_now().secs());
        let signatures = signature::sign(&secrets.signing, &secrets.keys, &id, at, &body);
        let headers = vec![
            (Cow::Borrowed("content-type"), "application/json".to_owned()),
            (Cow::Borrowed(signature::ID_HEADER), id),
            (Cow::Borrowed(signature::TIMESTAMP_HEADER), at.to_string()),
            (Cow::Borrowed(signature::SIGNATURE_HEADER), signatures),
        ];
        let request = OutboundRequest {
            url: url.clone(),
            headers,
            body,
        };
        let exchange = self.egress.post(request).await;
        let verdict = match (exchange.outcome, exchange.status) {
            (Outcome::Ok, _) => Verdict::Done,
            (_, Some(GONE)) => self.gone(&job, webhook, &url).await,
            (_, _) => {
                self.look_at_health(&job, webhook, &url).await;
                retry(&self.db, &job, exchange.retry_after)
            }
        };
        let log = attempt_log(exchange);
        Ending { verdict, log }
    }

    /// The receiver said never again. If that cannot be written down it is asked once more later.
    async fn gone(&self, job: &Claimed, webhook: WebhookId, url: &str) -> Verdict {
        match self.disable(webhook, url, DisableReason::Gone).await {
            Ok(()) => Verdict::Dead,
            Err(error) => {
                tracing::warn!(%error, %webhook, "cannot switch off a webhook that is gone");
                retry(&self.db, job, None)
            }
        }
    }

    /// An attempt failed: switches the endpoint off if nothing else has come of it for days. The delivery waits with the
    /// others. If it cannot be looked at, the next failure will be.
    async fn look_at_health(&self, job: &Claimed, webhook: WebhookId, url: &str) {
        if job.cause == Cause::Test.as_str() {
            return;
        }
        let looked = async {
            if disabling::is_overdue(&self.db, webhook).await? {
                self.disable(webhook, url, DisableReason::Failing).await?;
            }
            Ok::<_, Error>(())
        };
        if let Err(error) = looked.await {
            tracing::warn!(%error, %webhook, "cannot look at the health of a webhook");
        }
    }

    async fn disable(&self, webhook: WebhookId, url: &str, reason: DisableReason) -> Result<()> {
        let tx = self.db.begin_write().await?;
        if !disabling::disable(&tx, webhook, url, reason).await? {
            return tx.rollback().await;
        }
        let lanes = tx.commit().await?;
        tracing::info!(%webhook, reason = reason.as_str(), "switched off a webhook");
        self.bell.ring(&lanes).await;
        Ok(())
    }
}

/// One delivery, ready to be signed and sent.
struct Parcel {
    webhook: WebhookId,
    event: EventId,
    url: String,
    body: Bytes,
    secrets: Arc<Secrets>,
}

impl Batch {
    /// What to do with one job of the batch.
    pub(crate) fn step(&mut self, deliver: &Arc<DeliverWebhook>, job: &Claimed) -> Step {
        let Self {
            material,
            secrets,
            bodies,
        } = self;
        let is_shared = secrets.len() > 1;
        let (Some(webhook), Some(event)) = (job.webhook_id, job.event_id) else {
            tracing::error!(job = %job.id, "a delivery without a webhook or an event");
            let why = "the job names no webhook or no event".to_owned();
            return Step::End(Ending::new(Verdict::Dead, "poison", Some(why)));
        };
        let Some(material) = material else {
            return Step::Release;
        };
        let Some(webhook) = material.webhooks.get(&webhook) else {
            return Step::End(Ending::cancelled("the webhook was deleted"));
        };
        let Some(event) = material.events.get(&event) else {
            return Step::End(Ending::cancelled("the event is no longer kept"));
        };
        if !webhook.enabled {
            return Step::Release;
        }
        let secrets = match secrets.get(&webhook.id) {
            Some(Ok(secrets)) => Arc::clone(secrets),
            Some(Err(NoSecrets::Unreachable)) | None => return Step::Release,
            Some(Err(NoSecrets::Broken)) => return Step::End(Ending::fault(&deliver.db, job)),
        };
        let names = secrets.names.as_ref().filter(|_| webhook.hash_key_names);
        if webhook.hash_key_names && names.is_none() {
            tracing::error!(webhook = %webhook.id, "a webhook has no secret to hash names of keys under");
            return Step::End(Ending::fault(&deliver.db, job));
        }
        let body = match (names, bodies.get(&event.id)) {
            (None, Some(body)) => Ok(body.clone()),
            (_, _) => payload::body(event, names).map(Bytes::from),
        };
        let body = match body {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, job = %job.id, "cannot build the body of a delivery");
                return Step::End(Ending::fault(&deliver.db, job));
            }
        };
        if is_shared && names.is_none() {
            bodies.entry(event.id).or_insert_with(|| body.clone());
        }
        let parcel = Parcel {
            webhook: webhook.id,
            event: event.id,
            url: webhook.url.clone(),
            body,
            secrets,
        };
        Step::Run(Box::pin(Arc::clone(deliver).deliver(job.clone(), parcel)))
    }
}

fn attempt_log(exchange: Exchange) -> AttemptLog {
    let headers: serde_json::Map<String, serde_json::Value> = exchange
        .response_headers
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    let answered = exchange.status.is_some();
    AttemptLog {
        outcome: exchange.outcome.as_str(),
        status: exchange.status,
        dns_us: exchange.dns_us.map(u64::from),
        connect_us: exchange.connect_us.map(u64::from),
        first_byte_us: exchange.first_byte_us.map(u64::from),
        total_us: Some(u64::from(exchange.total_us)),
        remote_ip: exchange.remote_ip.map(|ip| ip.to_string()),
        response_headers: answered.then(|| serde_json::Value::Object(headers).to_string()),
        response_body: answered.then_some(exchange.body),
        error: exchange.error,
    }
}
