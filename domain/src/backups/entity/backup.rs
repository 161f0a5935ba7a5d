//! A backup and its file.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{BackupId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "backups")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BackupId,
    pub state: String,
    pub cause: String,
    pub requested_by: Option<UserId>,
    pub source: String,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub rows_done: i64,
    pub rows_total: Option<i64>,
    pub size_bytes: Option<i64>,
    pub sha256: Option<Vec<u8>>,
    pub key_id: Option<String>,
    pub last_verified_at: Option<Timestamp>,
    pub problem: Option<String>,
    pub restore_state: Option<String>,
    pub restore_database: Option<String>,
    pub restored_at: Option<Timestamp>,
    pub restore_problem: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
