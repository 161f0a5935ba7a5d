//! The events as receivers see them: the `webhooks` section of the API document.

use poem_openapi::payload::Json;
use poem_openapi::{Object, Webhook};
use serde_json::Value;

use crate::http::time::Time;
use crate::tags::Tag;

/// A key in an event.
#[derive(Object)]
pub struct EventKey {
    /// The key; its hash for a webhook with `hash_key_names`.
    pub key: String,
    /// Number of its version after the event.
    pub version: i64,
}

/// Who did it.
#[derive(Object)]
pub struct EventActor {
    /// `user`, `service_account` or `system`.
    #[oai(rename = "type")]
    pub kind: String,
    /// Id of the account or service account; null for the system.
    #[oai(nullable)]
    pub id: Option<String>,
}

/// What happened where. Other facts of the event stand beside these.
#[derive(Object)]
pub struct EventData {
    /// Id of the project; null when it concerns none.
    #[oai(nullable)]
    pub project: Option<String>,
    /// Id of the environment; null when it concerns none.
    #[oai(nullable)]
    pub environment: Option<String>,
    /// The environment's revision; null when it concerns none.
    #[oai(nullable)]
    pub revision: Option<i64>,
    /// The keys that changed; never their values.
    pub keys: Vec<EventKey>,
    /// Who did it.
    pub actor: EventActor,
}

/// An event.
#[derive(Object)]
pub struct Event {
    /// Id of the event, the same in every attempt, also sent as `webhook-id`: `evt_…`.
    pub id: String,
    /// Type of the event: `secret.updated`.
    #[oai(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub timestamp: Time,
    /// Its number in the organisation. The numbers have no gaps, but events that are not delivered have numbers too.
    pub seq: i64,
    /// Id of the organisation.
    pub org_id: String,
    /// What happened where.
    pub data: EventData,
}

/// What an endpoint receives.
#[Webhook(tag = "Tag::Webhooks")]
pub trait Deliveries {
    /// An event
    ///
    /// Posted to your endpoint, signed by Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`.
    /// Answer with a 2xx within 20 seconds; anything else is tried again, ten times over about 75 hours. Answer 410 to
    /// switch the webhook off.
    #[oai(method = "post", operation_id = "receive_event")]
    fn event(&self, body: Json<Event>) -> Json<Value>;
}
