//! The inbox of Stripe's events: each is stored once and answered at once. An event is a hint that something about a
//! customer changed, never the change itself: what there is is asked of Stripe when its job runs.

use std::time::Duration;

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use serde_json::Value;

use super::customer;
use super::entity::event;
use super::gateway::ListedEvent;
use crate::jobs::{self, Cause, Job, NewJob};
use crate::kernel::id::OrgId;
use crate::kernel::{Reads, Result, Timestamp, WriteTx};

/// Events that tell of a customer of ours.
const OF_CUSTOMERS: [&str; 20] = [
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.trial_will_end",
    "customer.subscription.pending_update_applied",
    "customer.subscription.pending_update_expired",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.payment_action_required",
    "invoice.finalization_failed",
    "invoice.upcoming",
    "invoice.voided",
    "customer.updated",
    "customer.deleted",
];
/// Events that tell of a price.
const OF_PRICES: [&str; 3] = ["price.created", "price.updated", "price.deleted"];
/// Events that somebody has to look at: Stripe tells of no customer, and nothing is to be done by itself.
const OF_DISPUTES: [&str; 2] = ["charge.dispute.created", "charge.dispute.closed"];

/// The types of event that an endpoint at Stripe should be subscribed to, twenty at most each, as Stripe lists them.
pub const KINDS: [&[&str]; 3] = [&OF_CUSTOMERS, &OF_PRICES, &OF_DISPUTES];
/// The lane of what concerns no customer.
const PRICES_LANE: &str = "prices";
/// How long events are kept. Stripe lists those of the last thirty days.
const KEPT: Duration = Duration::from_hours(90 * 24);
/// Events that one look at Stripe ends at once.
const MOST_COVERED: u64 = 100;

/// How an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventState {
    Pending,
    Done,
    /// It is not about anything of ours.
    Ignored,
    /// Its job was given up.
    Dead,
}

impl EventState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Dead => "dead",
        }
    }
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The customer that an organisation is.
    Org(OrgId),
    Prices,
}

/// What is read of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    pub id: String,
    pub kind: String,
    pub api_version: Option<String>,
    pub livemode: bool,
    pub created: Timestamp,
    pub customer: Option<String>,
}

#[derive(Deserialize)]
struct RawEvent {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    api_version: Option<String>,
    livemode: bool,
    created: i64,
    data: RawData,
}

#[derive(Deserialize)]
struct RawData {
    object: RawObject,
}

#[derive(Deserialize)]
struct RawObject {
    id: Option<String>,
    object: Option<String>,
    /// An id, or the customer itself.
    customer: Option<Value>,
}

impl RawObject {
    fn customer(self) -> Option<String> {
        if self.object.as_deref() == Some("customer") {
            return self.id;
        }
        match self.customer? {
            Value::String(id) => Some(id),
            Value::Object(customer) => customer.get("id").and_then(Value::as_str).map(str::to_owned),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
        }
    }
}

/// Seconds of Stripe's as an instant.
pub(super) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}

impl Envelope {
    /// Reads the few members that count; `None` when the body is no event.
    pub fn read(body: &[u8]) -> Option<Self> {
        let RawEvent {
            id,
            kind,
            api_version,
            livemode,
            created,
            data,
        } = serde_json::from_slice(body).ok()?;
        Some(Self {
            id,
            kind,
            api_version,
            livemode,
            created: instant(created),
            customer: data.object.customer(),
        })
    }

    /// The same of an event from Stripe's list.
    fn of(listed: &ListedEvent) -> Self {
        let ListedEvent {
            id,
            kind,
            api_version,
            livemode,
            created,
            object,
        } = listed;
        let object: Option<RawObject> = serde_json::from_str(object).ok();
        Self {
            id: id.clone(),
            kind: kind.clone(),
            api_version: api_version.clone(),
            livemode: *livemode,
            created: instant(*created),
            customer: object.and_then(RawObject::customer),
        }
    }
}

/// Stores an event that Stripe sent, and queues what is to be done about it; tells whether it is new.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn receive(tx: &WriteTx, envelope: Envelope, payload: &[u8], is_live: bool) -> Result<bool> {
    let about = about(tx, &envelope, is_live).await?;
    let Envelope {
        id,
        kind,
        api_version,
        livemode,
        created,
        customer,
    } = envelope;
    let state = if about.is_some() {
        EventState::Pending
    } else {
        EventState::Ignored
    };
    if OF_DISPUTES.contains(&kind.as_str()) {
        tracing::warn!(event = id, kind, "a payment is disputed: look at it at Stripe");
    }
    let row = event::ActiveModel {
        event_id: Set(id.clone()),
        kind: Set(kind),
        api_version: Set(api_version),
        livemode: Set(livemode),
        created: Set(created),
        customer_id: Set(customer.clone()),
        payload: Set(payload.to_vec()),
        status: Set(state.as_str().to_owned()),
        received_at: Set(tx.now()),
        done_at: Set((state == EventState::Ignored).then(|| tx.now())),
    };
    let once = OnConflict::column(event::Column::EventId).do_nothing().to_owned();
    let stored = event::Entity::insert(row)
        .on_conflict(once)
        .exec_without_returning(tx.conn())
        .await?;
    if stored == 0 {
        return Ok(false);
    }
    let Some(about) = about else { return Ok(true) };
    let (org_id, lane) = match about {
        About::Org(org) => (Some(org), customer.unwrap_or_default()),
        About::Prices => (None, PRICES_LANE.to_owned()),
    };
    let job = NewJob {
        job: Job::ApplyStripeEventV1 { event_id: id.clone() },
        lane,
        org_id,
        webhook_id: None,
        event_id: None,
        cause: Cause::Event,
        idempotency_key: id,
    };
    jobs::emit(tx, vec![job]).await?;
    Ok(true)
}

/// Stores an event that Stripe could not deliver; tells whether it is new.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn recover(tx: &WriteTx, listed: &ListedEvent, is_live: bool) -> Result<bool> {
    receive(tx, Envelope::of(listed), listed.object.as_bytes(), is_live).await
}

/// What an event is about; `None` when it is nothing of ours: of another mode, of a type that says nothing to us, or of a
/// customer whom we do not know, for several installations may share an account of Stripe's.
async fn about(from: &impl Reads, envelope: &Envelope, is_live: bool) -> Result<Option<About>> {
    let kind = envelope.kind.as_str();
    if envelope.livemode != is_live {
        return Ok(None);
    }
    if OF_PRICES.contains(&kind) {
        return Ok(Some(About::Prices));
    }
    let Some(customer) = envelope.customer.as_deref().filter(|_| OF_CUSTOMERS.contains(&kind)) else {
        return Ok(None);
    };
    let org = customer::org_of(from, customer).await?;
    Ok(org.map(About::Org))
}

/// What is to be done about a stored event, also one that was given up; `None` when nothing is any more.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn pending(from: &impl Reads, event_id: &str) -> Result<Option<About>> {
    let row = event::Entity::find_by_id(event_id.to_owned()).one(from.conn()).await?;
    let is_open = |row: &event::Model| {
        [EventState::Pending, EventState::Dead]
            .iter()
            .any(|state| row.status == state.as_str())
    };
    let Some(row) = row.filter(is_open) else {
        return Ok(None);
    };
    if OF_PRICES.contains(&row.kind.as_str()) {
        return Ok(Some(About::Prices));
    }
    let Some(customer) = row.customer_id else {
        return Ok(None);
    };
    Ok(customer::org_of(from, &customer).await?.map(About::Org))
}

/// Sets the state of an event that waits, or was given up.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn end(tx: &WriteTx, event_id: &str, state: EventState) -> Result<()> {
    let sql =
        "UPDATE stripe_events SET status = $2, done_at = $3 WHERE event_id = $1 AND status IN ('pending', 'dead')";
    let values = [event_id.into(), state.as_str().into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Ends the events of a customer that wait: it is gone, and nothing of theirs is asked about any more.
pub(super) async fn end_of_customer(tx: &WriteTx, customer: &str) -> Result<()> {
    let sql = "UPDATE stripe_events SET status = $2, done_at = $3 WHERE customer_id = $1 AND status = $4";
    let values = [
        customer.into(),
        EventState::Done.as_str().into(),
        tx.now().into(),
        EventState::Pending.as_str().into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// When the event that has waited longest came in: the metric `stripe_events_pending_age_seconds`.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn waiting_since(from: &impl Reads) -> Result<Option<Timestamp>> {
    let oldest = event::Entity::find()
        .filter(event::Column::Status.eq(EventState::Pending.as_str()))
        .order_by_asc(event::Column::ReceivedAt)
        .one(from.conn())
        .await?;
    Ok(oldest.map(|row| row.received_at))
}

/// Deletes events that are over and that Stripe does not list any more: they hold names and addresses. Tells how many.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn prune(tx: &WriteTx) -> Result<u64> {
    // Those whose job has gone: a walk over everything finds what they told of.
    let orphans = "UPDATE stripe_events SET status = 'dead' WHERE received_at < $1 AND status = 'pending'";
    let values = [(tx.now() - KEPT).into()];
    tx.conn().execute_raw(tx.sql(orphans, values)).await?;
    let sql = "DELETE FROM stripe_events WHERE received_at < $1 AND status <> 'pending'";
    let values = [(tx.now() - KEPT).into()];
    let deleted = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(deleted.rows_affected())
}

/// The events of a customer that wait, oldest first: whatever Stripe says of the customer from now on covers them.
pub(super) async fn waiting(from: &impl Reads, customer: &str) -> Result<Vec<String>> {
    let rows = event::Entity::find()
        .filter(event::Column::CustomerId.eq(customer))
        .filter(event::Column::Status.eq(EventState::Pending.as_str()))
        .order_by_asc(event::Column::ReceivedAt)
        .limit(MOST_COVERED)
        .all(from.conn())
        .await?;
    Ok(rows.into_iter().map(|row| row.event_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(object: &str) -> Option<Envelope> {
        let body = format!(
            r#"{{"id":"evt_1","object":"event","type":"invoice.paid","api_version":"2026-09-30.endive","livemode":false,
                "created":1900000000,"pending_webhooks":1,"data":{{"object":{object}}}}}"#
        );
        Envelope::read(body.as_bytes())
    }

    #[test]
    fn the_customer_is_found_wherever_it_stands() {
        for (object, customer) in [
            (r#"{"id":"in_1","object":"invoice","customer":"cus_1"}"#, Some("cus_1")),
            (
                r#"{"id":"in_1","object":"invoice","customer":{"id":"cus_2"}}"#,
                Some("cus_2"),
            ),
            (r#"{"id":"cus_3","object":"customer"}"#, Some("cus_3")),
            (r#"{"id":"in_1","object":"invoice","customer":null}"#, None),
            (r#"{"id":"price_1","object":"price"}"#, None),
            ("{}", None),
        ] {
            let read = envelope(object).unwrap();
            assert_eq!(read.customer.as_deref(), customer, "{object}");
            assert_eq!((read.id.as_str(), read.kind.as_str()), ("evt_1", "invoice.paid"));
            assert_eq!(read.created.secs(), 1_900_000_000);
        }
    }

    #[test]
    fn what_is_no_event_is_not_read_as_one() {
        for body in [
            "",
            "{}",
            "[]",
            "\u{feff}{}",
            r#"{"id":"evt_1","type":"x","livemode":false,"created":1}"#,
        ] {
            assert_eq!(Envelope::read(body.as_bytes()), None, "{body}");
        }
    }

    // Stripe lists events of twenty types at once.
    #[test]
    fn types_are_asked_for_twenty_at_a_time_and_none_twice() {
        let mut all: Vec<&str> = KINDS.concat();
        assert!(KINDS.iter().all(|kinds| kinds.len() <= 20));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
