//! What events that are gone told of one version of a secret.

use sea_orm::entity::prelude::*;

use crate::kernel::id::{ProjectId, SecretId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "journal_seals")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub ledger_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub secret_id: SecretId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    pub project_id: ProjectId,
    /// SHA-256 of the sealed value; absent once that was destroyed.
    pub digest: Option<Vec<u8>>,
    /// Number of the event that made it the last version, or deleted it; 0 for an older version.
    pub seq: i64,
    pub is_last: bool,
    /// Whether the secret was deleted.
    pub is_deleted: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
