//! Deliveries as the API shows them.

use std::collections::BTreeMap;

use domain::jobs::JobState;
use domain::jobs::entity::attempt;
use domain::webhooks::delivery;
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

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
    /// The webhook was deleted first, or its receiver was gone.
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
    /// Some headers of the receiver's answer.
    pub response_headers: Option<BTreeMap<String, String>>,
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
            response_headers: row.response_headers.and_then(|text| serde_json::from_str(&text).ok()),
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
    /// Type of the event; empty when the event is no longer kept.
    pub event_type: String,
    /// How it stands.
    pub state: DeliveryState,
    /// What brought it about: `event`, `test`, `resend` or `recovery`.
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
