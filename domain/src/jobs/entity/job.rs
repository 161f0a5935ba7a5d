//! A job.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{EventId, JobId, OrgId, WebhookId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    pub kind: String,
    pub lane: String,
    pub org_id: Option<OrgId>,
    pub webhook_id: Option<WebhookId>,
    pub event_id: Option<EventId>,
    pub payload: String,
    pub idempotency_key: String,
    /// A job that somebody has a lease of is stored as one that waits.
    pub state: i32,
    pub attempt: i32,
    pub max_attempts: i32,
    pub crashes: i32,
    pub cause: String,
    pub next_at: Timestamp,
    pub last_outcome: Option<String>,
    pub created_at: Timestamp,
    pub done_at: Option<Timestamp>,
    /// The number of its event in the journal; 0 for a job without one.
    pub seq: i64,
    /// The span that made it, for the span of its run.
    pub traceparent: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
