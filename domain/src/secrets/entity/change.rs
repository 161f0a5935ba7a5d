//! One line of an environment revision's change set.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{EnvId, SecretId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "environment_changes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub environment_id: EnvId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub secret_id: SecretId,
    pub action: String,
    pub key: String,
    pub version: i64,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
