//! Recoveries as the API shows them.

use domain::webhooks::recovery;
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

/// Which past events are delivered once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum WebhookRecoveryMode {
    /// Those whose deliveries failed or were cancelled, and that have not arrived since.
    Failed,
    /// Those that had no delivery, as while the webhook was switched off.
    Missing,
    /// All of them.
    All,
}

impl From<WebhookRecoveryMode> for recovery::RecoveryMode {
    fn from(mode: WebhookRecoveryMode) -> Self {
        match mode {
            WebhookRecoveryMode::Failed => Self::Failed,
            WebhookRecoveryMode::Missing => Self::Missing,
            WebhookRecoveryMode::All => Self::All,
        }
    }
}

impl From<recovery::RecoveryMode> for WebhookRecoveryMode {
    fn from(mode: recovery::RecoveryMode) -> Self {
        match mode {
            recovery::RecoveryMode::Failed => Self::Failed,
            recovery::RecoveryMode::Missing => Self::Missing,
            recovery::RecoveryMode::All => Self::All,
        }
    }
}

/// What is to be delivered once more.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewWebhookRecovery {
    /// Events from this instant on.
    pub since: Time,
    /// Events before this instant; all until now if absent.
    pub until: Option<Time>,
    /// Which of them.
    pub mode: WebhookRecoveryMode,
}

impl From<NewWebhookRecovery> for recovery::Wanted {
    fn from(wanted: NewWebhookRecovery) -> Self {
        let NewWebhookRecovery { since, until, mode } = wanted;
        Self {
            mode: mode.into(),
            since: since.0,
            until: until.map(|until| until.0),
        }
    }
}

/// How a recovery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum WebhookRecoveryState {
    /// Past events are being looked at.
    Running,
    /// All of them were looked at. The deliveries go their own ways.
    Done,
    /// The webhook was switched off or deleted first. Ask for another once it is on.
    Cancelled,
}

impl From<recovery::RecoveryState> for WebhookRecoveryState {
    fn from(state: recovery::RecoveryState) -> Self {
        match state {
            recovery::RecoveryState::Running => Self::Running,
            recovery::RecoveryState::Done => Self::Done,
            recovery::RecoveryState::Cancelled => Self::Cancelled,
        }
    }
}

/// Past events that are delivered once more, and how far that has come.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct WebhookRecovery {
    /// Id of the recovery: `rcv_…`.
    pub id: String,
    /// Which of the events.
    pub mode: WebhookRecoveryMode,
    /// Events from this instant on.
    pub since: Time,
    /// Events before this instant; absent for all that there were when it began.
    pub until: Option<Time>,
    /// How it stands.
    pub state: WebhookRecoveryState,
    /// Number of the last event that was looked at: `seq` in events.
    pub at_seq: i64,
    /// Number of the last event that will be.
    pub end_seq: i64,
    /// Deliveries made so far.
    pub emitted: i64,
    /// When it was asked for.
    pub created_at: Time,
    /// When it ended; absent while it runs.
    pub done_at: Option<Time>,
}

impl From<recovery::Recovery> for WebhookRecovery {
    fn from(found: recovery::Recovery) -> Self {
        let recovery::Recovery {
            id,
            webhook_id: _,
            mode,
            since,
            until,
            at_seq,
            end_seq,
            emitted,
            state,
            created_at,
            done_at,
        } = found;
        Self {
            id: id.to_string(),
            mode: mode.into(),
            since: since.into(),
            until: until.map(Into::into),
            state: state.into(),
            at_seq,
            end_seq,
            emitted,
            created_at: created_at.into(),
            done_at: done_at.map(Into::into),
        }
    }
}
