//! The catalogue of events: as an operation, and as the `webhooks` section of the API document.

use domain::kernel::page::{MAX_LIMIT, Page, PageRequest};
use domain::webhooks::catalogue;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde_json::{Map, Value, json};

use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct CatalogueApi;

/// A type of event that is delivered.
#[derive(Clone, Debug, Object)]
pub struct EventType {
    /// Its name, to subscribe to: `secret.updated`.
    #[oai(rename = "type")]
    pub kind: String,
    /// One sentence.
    pub description: String,
    /// JSON Schema (2020-12) of the body that is delivered; entries of the feed are the same. Members may be added.
    pub schema: Value,
    /// A body.
    pub example: Value,
}

impl From<catalogue::EventType> for EventType {
    fn from(found: catalogue::EventType) -> Self {
        let catalogue::EventType {
            name,
            description,
            schema,
            example,
        } = found;
        Self {
            kind: name.to_owned(),
            description: description.to_owned(),
            schema,
            example,
        }
    }
}

#[OpenApi(tag = "Tag::Webhooks")]
impl CatalogueApi {
    /// List event types
    ///
    /// Every type of event that webhooks deliver and the feed tells, with a JSON Schema of its body and an example. A
    /// test of a webhook sends `webhook.tested`, of the same form, which nobody can subscribe to.
    #[oai(path = "/v1/webhook-events", method = "get", operation_id = "list_webhook_events")]
    async fn list_webhook_events(
        &self,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<EventType>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        Ok(Json(List::of(
            Page::of(catalogue::event_types(), page),
            EventType::from,
        )))
    }
}

/// What receivers are told of every delivery.
const DELIVERY: &str = "Posted to your endpoint, signed by Standard Webhooks: `webhook-id`, `webhook-timestamp` and \
    `webhook-signature`, which holds a `v1` signature (HMAC-SHA256) for each secret that is valid and a `v1a` signature \
    (Ed25519) for each key pair that came with one. Answer with a 2xx within 20 seconds; anything else is tried again, ten times over about 75 \
    hours. Answer 410 to switch the webhook off.";

/// What an endpoint receives, type by type: the `webhooks` section.
pub fn section() -> Map<String, Value> {
    let entry = |found: catalogue::EventType| {
        let catalogue::EventType {
            name,
            description,
            mut schema,
            example,
        } = found;
        // The document says once which dialect its schemas are in.
        if let Some(schema) = schema.as_object_mut() {
            schema.shift_remove("$schema");
        }
        let delivery = json!({
            "tags": ["Webhooks"],
            "summary": description,
            "description": DELIVERY,
            "operationId": format!("receive_{}", name.replace('.', "_")),
            "requestBody": {
                "required": true,
                "content": { "application/json": { "schema": schema, "example": example } },
            },
            "responses": {
                "2XX": { "description": "It was taken." },
                "410": { "description": "The webhook is to be switched off." },
            },
            "security": [],
        });
        (name.to_owned(), json!({ "post": delivery }))
    };
    catalogue::event_types().into_iter().map(entry).collect()
}
