//! Jobs as superusers see them.

use domain::jobs;
use domain::jobs::overview::JobView;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object};

use crate::http::time::Time;

/// How a job stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its first or next try.
    Ready,
    /// It is under way.
    Running,
    /// It succeeded.
    Done,
    /// It was given up.
    #[default]
    Dead,
    /// What it was for is gone.
    Cancelled,
}

impl From<JobState> for jobs::JobState {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Ready => Self::Ready,
            JobState::Running => Self::Running,
            JobState::Done => Self::Done,
            JobState::Dead => Self::Dead,
            JobState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<jobs::JobState> for JobState {
    fn from(state: jobs::JobState) -> Self {
        match state {
            jobs::JobState::Ready => Self::Ready,
            jobs::JobState::Running => Self::Running,
            jobs::JobState::Done => Self::Done,
            jobs::JobState::Dead => Self::Dead,
            jobs::JobState::Cancelled => Self::Cancelled,
        }
    }
}

/// The kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum JobKind {
    /// The delivery of an event to a webhook.
    Webhook,
    /// A mail.
    Mail,
    /// Sealing a project's values anew.
    Keys,
    /// Delivering past events once more.
    Recovery,
    /// Asking Stripe what a customer has.
    #[oai(rename = "stripe")]
    Billing,
    /// Making or restoring a backup.
    Backup,
}

impl From<JobKind> for jobs::JobKind {
    fn from(kind: JobKind) -> Self {
        match kind {
            JobKind::Webhook => Self::Webhook,
            JobKind::Mail => Self::Mail,
            JobKind::Keys => Self::Keys,
            JobKind::Recovery => Self::Recovery,
            JobKind::Billing => Self::Billing,
            JobKind::Backup => Self::Backup,
        }
    }
}

/// A job: ids, states and outcomes, and nothing of what it carries.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AdminJob {
    /// Id of the job: `job_…`.
    pub id: String,
    /// The kind of work: `webhook`, `mail`, …
    pub kind: String,
    /// How it stands.
    pub state: JobState,
    /// Id of the organisation that it is for: `org_…`; absent for mail.
    pub org_id: Option<String>,
    /// Id of the webhook that it delivers to: `whk_…`.
    pub webhook_id: Option<String>,
    /// Id of the event that it delivers: `evt_…`.
    pub event_id: Option<String>,
    /// What brought it about: `event`, `test`, `resend`, `recovery`.
    pub cause: String,
    /// Tries that were used up.
    pub attempts: i32,
    /// Tries that it has.
    pub max_attempts: i32,
    /// Workers that died over it.
    pub crashes: i32,
    /// Outcome of the last try: `ok`, `http`, `timeout`, …
    pub last_outcome: Option<String>,
    /// What went wrong at the last try, for people.
    pub last_error: Option<String>,
    /// When the last try began.
    pub last_attempt_at: Option<Time>,
    /// When it will be tried next; absent for a job that does not wait.
    pub next_attempt_at: Option<Time>,
    /// When it was made.
    pub created_at: Time,
    /// When it ended.
    pub done_at: Option<Time>,
}

impl From<JobView> for AdminJob {
    fn from(job: JobView) -> Self {
        let JobView {
            id,
            kind,
            state,
            org_id,
            webhook_id,
            event_id,
            cause,
            attempts,
            max_attempts,
            crashes,
            last_outcome,
            last_error,
            last_attempt_at,
            next_at,
            created_at,
            done_at,
        } = job;
        Self {
            id: id.to_string(),
            kind,
            state: state.into(),
            org_id: org_id.map(|id| id.to_string()),
            webhook_id: webhook_id.map(|id| id.to_string()),
            event_id: event_id.map(|id| id.to_string()),
            cause,
            attempts,
            max_attempts,
            crashes,
            last_outcome,
            last_error,
            last_attempt_at: last_attempt_at.map(Into::into),
            next_attempt_at: next_at.map(Into::into),
            created_at: created_at.into(),
            done_at: done_at.map(Into::into),
        }
    }
}

#[derive(Clone, ApiResponse)]
pub enum JobQueued {
    /// It is tried again.
    #[oai(status = 202)]
    Accepted(Json<AdminJob>),
}
