//! A walk through past events that delivers them to an endpoint once more.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{OrgId, RecoveryId, WebhookId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_recoveries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RecoveryId,
    pub webhook_id: WebhookId,
    pub org_id: OrgId,
    pub mode: String,
    pub since: Timestamp,
    pub until: Option<Timestamp>,
    pub at_seq: i64,
    pub end_seq: i64,
    pub emitted: i64,
    pub state: String,
    pub created_at: Timestamp,
    pub done_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
