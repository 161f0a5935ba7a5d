//! A secret: its key and the number of its current version.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{EnvId, OrgId, ProjectId, SecretId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "secrets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SecretId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub environment_id: EnvId,
    pub key: String,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
