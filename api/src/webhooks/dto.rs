//! Webhooks as the API shows them.

use domain::jobs::{Health, Per, Rate};
use domain::kernel;
use domain::webhooks::endpoint;
use domain::webhooks::overview::{self, Observed, Overview};
use domain::webhooks::secrets::{Fresh, Rotated};
use poem_openapi::{Enum, Object};

use super::delivery_dto::Delivery;
use super::recovery_dto::WebhookRecovery;
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

/// What a rate counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum WebhookRateUnit {
    /// One second.
    Second,
    /// One minute.
    Minute,
}

/// How many deliveries a webhook gets at most, evenly spread; attempts that are repeated count too.
#[derive(Clone, Copy, Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct WebhookRate {
    /// 1 to 1000; 0 takes the limit away.
    pub deliveries: i64,
    /// A second, or a minute.
    pub per: WebhookRateUnit,
}

impl WebhookRate {
    /// # Errors
    /// `invalid_field` for a number that it cannot be.
    pub fn checked(self) -> kernel::Result<Option<Rate>> {
        let Self { deliveries, per } = self;
        let per = match per {
            WebhookRateUnit::Second => Per::Second,
            WebhookRateUnit::Minute => Per::Minute,
        };
        Rate::checked(deliveries, per)
    }
}

impl From<Rate> for WebhookRate {
    fn from(rate: Rate) -> Self {
        let per = match rate.per() {
            Per::Second => WebhookRateUnit::Second,
            Per::Minute => WebhookRateUnit::Minute,
        };
        Self {
            deliveries: rate.deliveries().into(),
            per,
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
    /// Name keys by their hashes: HMAC-SHA256, hex, under the bytes of the secret that this answers with. That stays so
    /// when the secret is rotated. Filters still take the names.
    #[oai(default)]
    pub hash_key_names: bool,
    /// Deliver one event after the other, in the order of `seq`: the next only when the receiver took the one before, or
    /// all attempts at it failed. A receiver that is down holds up everything behind.
    #[oai(default)]
    pub ordered: bool,
    /// The most that the receiver is to get. What is above it waits and uses up no attempt.
    pub rate: Option<WebhookRate>,
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
    /// Name keys by their hashes: HMAC-SHA256, hex, under the bytes of the webhook's first secret.
    pub hash_key_names: Option<bool>,
    /// Deliver one event after the other, in the order of `seq`.
    pub ordered: Option<bool>,
    /// The most that the receiver is to get; `deliveries: 0` takes the limit away.
    pub rate: Option<WebhookRate>,
    /// Whether events are delivered. While it is off, no event is queued; what waits stays. Switching it on forgets the
    /// failures of before; `recover_webhook` delivers what it missed.
    pub enabled: Option<bool>,
}

/// How a webhook does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum WebhookHealthState {
    /// The last attempt succeeded, or there was none.
    Healthy,
    /// The last attempt failed. After five days of that the webhook is switched off.
    Failing,
    /// It is switched off.
    Disabled,
}

impl From<overview::HealthState> for WebhookHealthState {
    fn from(state: overview::HealthState) -> Self {
        match state {
            overview::HealthState::Healthy => Self::Healthy,
            overview::HealthState::Failing => Self::Failing,
            overview::HealthState::Disabled => Self::Disabled,
        }
    }
}

/// How deliveries to a webhook have been going. Tests that fail are left out.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct WebhookHealth {
    /// How it does.
    pub state: WebhookHealthState,
    /// Why it was switched off by itself: `gone`, its receiver answered 410, or `failing`, for five days. Absent when
    /// it is on, or somebody switched it off.
    pub disabled_reason: Option<String>,
    /// When an attempt last succeeded.
    pub last_success_at: Option<Time>,
    /// When an attempt last failed.
    pub last_failure_at: Option<Time>,
    /// Attempts that failed since the last success.
    pub consecutive_failures: i64,
    /// When the first of them failed.
    pub failing_since: Option<Time>,
    /// Too many attempts failed in a row: nothing is sent before then, and what waits uses up no attempt. Then one
    /// delivery tries; if it succeeds the others follow, if it fails the pause is twice as long, an hour at most. Tests
    /// and deliveries that are sent once more by hand go out all the same.
    pub paused_until: Option<Time>,
}

impl WebhookHealth {
    fn new(state: WebhookHealthState, disabled_reason: Option<String>, health: Health) -> Self {
        let Health {
            last_success_at,
            last_failure_at,
            consecutive_failures,
            failing_since,
            paused_until,
        } = health;
        Self {
            state,
            disabled_reason,
            last_success_at: last_success_at.map(Into::into),
            last_failure_at: last_failure_at.map(Into::into),
            consecutive_failures,
            failing_since: failing_since.map(Into::into),
            paused_until: paused_until.map(Into::into),
        }
    }
}

/// A webhook.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
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
    /// Whether keys are named by their hashes.
    pub hash_key_names: bool,
    /// Whether events are delivered one after the other.
    pub ordered: bool,
    /// The most that the receiver gets; absent when there is no limit.
    pub rate: Option<WebhookRate>,
    /// Whether events are delivered.
    pub enabled: bool,
    /// How it does.
    pub health: WebhookHealth,
    /// Verifies deliveries too, by the `v1a` signatures of Standard Webhooks, and may be known to anybody: `whpk_…`. It
    /// changes with the secret. Absent for a webhook that is older than these, until its secret is rotated.
    pub public_key: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<Observed> for Webhook {
    fn from(observed: Observed) -> Self {
        let state = observed.state().into();
        let Observed {
            webhook,
            public_key,
            health,
        } = observed;
        let endpoint::Webhook {
            id,
            org_id: _,
            url,
            description,
            events,
            filter,
            hash_key_names,
            enabled,
            disabled_reason,
            ordered,
            rate,
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
            hash_key_names,
            ordered,
            rate: rate.map(Into::into),
            enabled,
            health: WebhookHealth::new(state, disabled_reason, health),
            public_key,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// A new webhook with its signing secret, shown this once.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
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
    /// Whether keys are named by their hashes.
    pub hash_key_names: bool,
    /// Whether events are delivered one after the other.
    pub ordered: bool,
    /// The most that the receiver gets; absent when there is no limit.
    pub rate: Option<WebhookRate>,
    /// Whether events are delivered.
    pub enabled: bool,
    /// How it does.
    pub health: WebhookHealth,
    /// Verifies deliveries, by Standard Webhooks: `whsec_…`. It cannot be shown again.
    pub secret: String,
    /// Verifies deliveries too, by the `v1a` signatures of Standard Webhooks, and may be known to anybody: `whpk_…`.
    pub public_key: String,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl CreatedWebhook {
    pub fn new(made: endpoint::CreatedWebhook) -> Self {
        let endpoint::CreatedWebhook { webhook, fresh } = made;
        let Fresh { secret, public_key } = fresh;
        let observed = Observed {
            webhook,
            public_key: None,
            health: Health::default(),
        };
        let Webhook {
            id,
            url,
            events,
            description,
            filters,
            hash_key_names,
            ordered,
            rate,
            enabled,
            health,
            public_key: _,
            created_at,
            updated_at,
        } = observed.into();
        let secret = secret.expose().clone();
        Self {
            id,
            url,
            events,
            description,
            filters,
            hash_key_names,
            ordered,
            rate,
            enabled,
            health,
            secret,
            public_key,
            created_at,
            updated_at,
        }
    }
}

/// A webhook with its last deliveries.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct WebhookDetails {
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
    /// Whether keys are named by their hashes.
    pub hash_key_names: bool,
    /// Whether events are delivered one after the other.
    pub ordered: bool,
    /// The most that the receiver gets; absent when there is no limit.
    pub rate: Option<WebhookRate>,
    /// Whether events are delivered.
    pub enabled: bool,
    /// How it does.
    pub health: WebhookHealth,
    /// Verifies deliveries too, by the `v1a` signatures of Standard Webhooks, and may be known to anybody: `whpk_…`. It
    /// changes with the secret. Absent for a webhook that is older than these, until its secret is rotated.
    pub public_key: Option<String>,
    /// Its last ten deliveries, newest first.
    pub recent_deliveries: Vec<Delivery>,
    /// The last recovery that was asked for; absent when there was none.
    pub recovery: Option<WebhookRecovery>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<Overview> for WebhookDetails {
    fn from(found: Overview) -> Self {
        let Overview {
            observed,
            recent,
            recovery,
        } = found;
        let Webhook {
            id,
            url,
            events,
            description,
            filters,
            hash_key_names,
            ordered,
            rate,
            enabled,
            health,
            public_key,
            created_at,
            updated_at,
        } = observed.into();
        Self {
            id,
            url,
            events,
            description,
            filters,
            hash_key_names,
            ordered,
            rate,
            enabled,
            health,
            public_key,
            recent_deliveries: recent.into_iter().map(Into::into).collect(),
            recovery: recovery.map(Into::into),
            created_at,
            updated_at,
        }
    }
}

/// How a secret is rotated.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct WebhookSecretRotation {
    /// Hours that the secrets of before go on signing beside the new one, 0 to 168; 24 if absent. 0 ends them at once.
    pub overlap_hours: Option<i64>,
}

/// The new signing secret of a webhook, shown this once.
#[derive(Clone, Debug, Object)]
pub struct RotatedWebhookSecret {
    /// Verifies deliveries, by Standard Webhooks: `whsec_…`. It cannot be shown again.
    pub secret: String,
    /// Verifies deliveries too, by the `v1a` signatures of Standard Webhooks, and may be known to anybody: `whpk_…`.
    pub public_key: String,
    /// When the secrets of before stop signing.
    pub previous_expires_at: Time,
}

impl From<Rotated> for RotatedWebhookSecret {
    fn from(rotated: Rotated) -> Self {
        let Rotated {
            fresh,
            previous_expires_at,
        } = rotated;
        let Fresh { secret, public_key } = fresh;
        Self {
            secret: secret.expose().clone(),
            public_key,
            previous_expires_at: previous_expires_at.into(),
        }
    }
}
