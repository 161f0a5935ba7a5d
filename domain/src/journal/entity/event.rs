//! A row of the journal.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{CredentialId, EnvId, EventId, ProjectId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "journal")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub ledger_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub id: EventId,
    pub at: Timestamp,
    pub action: String,
    pub actor_type: String,
    pub actor_id: Option<Uuid>,
    pub actor_label: Option<String>,
    pub credential_id: Option<CredentialId>,
    pub target_type: String,
    pub target_id: Option<Uuid>,
    pub project_id: Option<ProjectId>,
    pub environment_id: Option<EnvId>,
    pub revision: Option<i64>,
    pub data: String,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    pub prev_hash: Vec<u8>,
    pub hash: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
