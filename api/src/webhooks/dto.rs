//! Webhooks and deliveries as the API shows them.

use domain::jobs::JobState;
use domain::jobs::entity::attempt;
use domain::kernel::Secret;
use domain::webhooks::{delivery, endpoint};
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

/// Which of the subscribed events a webhook wants; an empty list lets everything pass.
#[derive(Clone, Debug, Default, Object)]
#[oai(deny_unknown_fields)]
pub struct WebhookFilters {
    /// Ids of projects.
    #[oai(default)]
    pub projects: Vec<String>,
    /// Ids of environments.
    #[oai(default)]
    pub environments: Vec<String>,
    /// Keys, or beginnings of keys followed by `*`.
    #[oai(default)]
    pub keys: Vec<String>,
}

impl From<WebhookFilters> for endpoint::FilterInput {
    fn from(filters: WebhookFilters) -> Self {
        let WebhookFilters {
            projects,
            environments,
            keys,
        } = filters;
        Self {
            projects,
            environments,
            keys,
        }
    }
}

/// A new webhook.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where events are posted: `https`, a public address.
    pub url: String,
    /// Event types such as `secret.updated`, families such as `secret.*`, or `*` for all.
    pub events: Vec<String>,
    /// Up to 2000 characters.
    #[oai(default)]
    pub description: String,
    /// Narrows the events further.
    #[oai(default)]
    pub filters: WebhookFilters,
    /// Whether events are delivered; on if absent.
    pub enabled: Option<bool>,
}

/// Changes to a webhook; what is absent stays.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct WebhookPatch {
    /// Where events are posted. Waiting deliveries go to the new address.
    pub url: Option<String>,
    /// Event types, families such as `secret.*`, or `*` for all.
    pub events: Option<Vec<String>>,
    /// Up to 2000 characters.
    pub description: Option<String>,
    /// Narrows the events further; replaced as a whole.
    pub filters: Option<WebhookFilters>,
    /// Whether events are delivered. While it is off, no event is queued; what waits stays.
    pub enabled: Option<bool>,
}

/// A webhook.
#[derive(Clone, Debug, Object)]
pub struct Webhook {
    /// Id of the webhook: `whk_…`.
    pub id: String,
    /// Where events are posted.
    pub url: String,
    /// The event types that it wants.
    pub events: Vec<String>,
    /// What it is for; may be empty.
    pub description: String,
    /// What narrows the events further.
    pub filters: WebhookFilters,
    /// Whether events are delivered.
    pub enabled: bool,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<endpoint::Webhook> for Webhook {
    fn from(webhook: endpoint::Webhook) -> Self {
        let endpoint::Webhook {
            id,
            org_id: _,
            url,
            description,
            events,
            filter,
            enabled,
            created_at,
            updated_at,
        } = webhook;
        let filters = WebhookFilters {
            projects: filter.projects.iter().map(ToString::to_string).collect(),
            environments: filter.environments.iter().map(ToString::to_string).collect(),
            keys: filter.keys,
        };
        Self {
            id: id.to_string(),
            url,
            events,
            description,
            filters,
            enabled,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// A new webhook with its signing secret, shown this once.
#[derive(Clone, Debug, Object)]
pub struct CreatedWebhook {
    /// Id of the webhook: `whk_…`.
    pub id: String,
    /// Where events are posted.
    pub url: String,
    /// The event types that it wants.
    pub events: Vec<String>,
    /// What it is for; may be empty.
    pub description: String,
    /// What narrows the events further.
    pub filters: WebhookFilters,
    /// Whether events are delivered.
    pub enabled: bool,
    /// Verifies deliveries, by Standard Webhooks: `whsec_…`. It cannot be shown again.
    pub secret: String,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl CreatedWebhook {
    pub fn new(webhook: endpoint::Webhook, secret: &Secret<String>) -> Self {
        let Webhook {
            id,
            url,
            events,
            description,
            filters,
            enabled,
            created_at,
            updated_at,
        } = webhook.into();
        let secret = secret.expose().clone();
        Self {
            id,
            url,
            events,
            description,
            filters,
            enabled,
            secret,
            created_at,
            updated_at,
        }
    }
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It waits for its first or next attempt.
    Pending,
    /// It is being sent.
    Running,
    /// The receiver took it.
    Succeeded,
    /// All attempts failed.
    Failed,
    /// The webhook was deleted first.
    Cancelled,
}

impl From<JobState> for DeliveryState {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Ready => Self::Pending,
            JobState::Running => Self::Running,
            JobState::Done => Self::Succeeded,
            JobState::Dead => Self::Failed,
            JobState::Cancelled => Self::Cancelled,
        }
    }
}

/// One attempt at a delivery.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Attempt {
    /// When it began.
    pub at: Time,
    /// The receiver's HTTP status; absent when there was no answer.
    pub status: Option<i32>,
    /// `ok`, `http`, `timeout`, `dns`, `tls`, `connect`, `blocked`, `worker_lost` or `stale`.
    pub outcome: String,
    /// Time to resolve the name, milliseconds.
    pub dns_ms: Option<f64>,
    /// Time to connect, milliseconds.
    pub connect_ms: Option<f64>,
    /// Time to the first byte of the answer, milliseconds.
    pub first_byte_ms: Option<f64>,
    /// Time in all, milliseconds.
    pub total_ms: Option<f64>,
    /// The address that was reached.
    pub remote_ip: Option<String>,
    /// The beginning of the receiver's answer, 16 KiB at most, as text.
    pub response_body: Option<String>,
    /// What went wrong, for people.
    pub error: Option<String>,
}

impl From<attempt::Model> for Attempt {
    fn from(row: attempt::Model) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of 20 seconds at most")]
        let millis = |us: Option<i64>| us.map(|us| us as f64 / 1000.0);
        Self {
            at: row.started_at.into(),
            status: row.status,
            outcome: row.outcome,
            dns_ms: millis(row.dns_us),
            connect_ms: millis(row.connect_us),
            first_byte_ms: millis(row.first_byte_us),
            total_ms: millis(row.total_us),
            remote_ip: row.remote_ip,
            response_body: row
                .response_body
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            error: row.error,
        }
    }
}

/// The delivery of one event to one webhook.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Delivery {
    /// Id of the delivery: `dlv_…`.
    pub id: String,
    /// Id of the event, sent as `webhook-id`: `evt_…`.
    pub event_id: Option<String>,
    /// Type of the event.
    pub event_type: String,
    /// How it stands.
    pub state: DeliveryState,
    /// What brought it about: `event`, `test` or `resend`.
    pub cause: String,
    /// Its attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it will be tried next; absent once it has ended.
    pub next_attempt_at: Option<Time>,
    /// When it was queued.
    pub created_at: Time,
}

impl From<delivery::Delivery> for Delivery {
    fn from(found: delivery::Delivery) -> Self {
        let delivery::Delivery {
            id,
            event_id,
            event_type,
            state,
            cause,
            attempts,
            next_attempt_at,
            created_at,
        } = found;
        Self {
            id: id.to_string(),
            event_id: event_id.map(|id| id.to_string()),
            event_type,
            state: state.into(),
            cause,
            attempts: attempts.into_iter().map(Into::into).collect(),
            next_attempt_at: next_attempt_at.map(Into::into),
            created_at: created_at.into(),
        }
    }
}
