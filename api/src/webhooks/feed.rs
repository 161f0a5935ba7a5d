//! The feed of an organisation's events.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::access::{self, grant};
use domain::webhooks::feed::{self, FeedPage, FeedRequest};
use domain::webhooks::payload;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};
use serde_json::Value;

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct FeedApi(pub Arc<App>);

/// An event, as webhooks deliver it.
#[derive(Clone, Debug, Object)]
pub struct Event {
    /// Id of the event, also sent as `webhook-id`: `evt_…`.
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
    /// What happened where, and who did it: by the schema of its type, see `list_webhook_events`. Never a value.
    pub data: BTreeMap<String, Value>,
}

impl From<payload::Event> for Event {
    fn from(told: payload::Event) -> Self {
        let payload::Event {
            id,
            kind,
            timestamp,
            seq,
            org_id,
            data,
        } = told;
        Self {
            id: id.to_string(),
            kind,
            timestamp: timestamp.into(),
            seq,
            org_id: org_id.to_string(),
            data: data.into_iter().collect(),
        }
    }
}

/// A part of the feed.
#[derive(Clone, Debug, Object)]
pub struct EventFeed {
    /// The events, oldest first.
    pub data: Vec<Event>,
    /// Hand it back as `after` to go on. Everything up to this number was looked at, also what is not shown.
    pub next_after: i64,
    /// Whether there is more to look at behind it. A part may be short, or empty, and have more behind it.
    pub has_more: bool,
}

impl From<FeedPage> for EventFeed {
    fn from(page: FeedPage) -> Self {
        let FeedPage {
            data,
            next_after,
            has_more,
        } = page;
        Self {
            data: data.into_iter().map(Into::into).collect(),
            next_after,
            has_more,
        }
    }
}

#[OpenApi(tag = "Tag::Webhooks")]
impl FeedApi {
    /// Read the event feed
    ///
    /// The events that webhooks deliver, of the whole organisation, oldest first. Begin without `after`, do what each
    /// event asks for, then go on with `next_after`: nothing is left out and nothing comes twice, whatever is written
    /// meanwhile. Reads of secrets and changes of webhooks are in the audit log alone; they have numbers too, so that
    /// `seq` leaves some out where nothing is missing.
    ///
    /// Events are kept as long as the plan says (`audit_retention_days`), and seven days at least. A reader who comes later
    /// with an `after` whose next events are gone is answered with 410 `events_purged`: read what you follow anew, then go on
    /// with its `begins_after`.
    ///
    /// With `wait` a request that has come to the end is answered when the next event is there. Whether the caller may
    /// still read is asked again before it is answered. Up to 100 requests of an organisation wait at once.
    #[oai(path = "/v1/orgs/:org/events", method = "get", operation_id = "list_events")]
    async fn list_events(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// The `next_after` of the part before, or the `seq` of an event; 0, from the oldest event that is kept, if absent.
        after: Query<Option<i64>>,
        /// Event types such as `secret.updated` and families such as `secret.*`, separated by commas; all if absent.
        types: Query<Option<String>>,
        /// Events at most, 1 to 100; 100 if absent.
        limit: Query<Option<i64>>,
        /// Seconds to wait for an event when there is none, 0 to 30; 0 if absent.
        wait: Query<Option<i64>>,
    ) -> Result<Json<EventFeed>, ApiError> {
        let access = access::org::<grant::EventsRead>(&self.0.db, &caller, &org).await?;
        let request = FeedRequest::new(after.0, types.0.as_deref(), limit.0, wait.0)?;
        let page = feed::read(&self.0.db, &self.0.followers, &caller, &access, request).await?;
        Ok(Json(page.into()))
    }
}
