//! How deliveries to a webhook endpoint have been going.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::WebhookId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_health")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub webhook_id: WebhookId,
    pub last_success_at: Option<Timestamp>,
    pub last_failure_at: Option<Timestamp>,
    pub consecutive_failures: i64,
    pub failing_since: Option<Timestamp>,
    pub unreachable: i64,
    pub breaker_step: i32,
    pub breaker_until: Option<Timestamp>,
    pub rate_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
