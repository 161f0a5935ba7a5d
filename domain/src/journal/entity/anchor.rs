//! Where the chain of a ledger begins whose oldest events are gone.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "journal_anchors")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub ledger_id: Uuid,
    /// Number of the last event that is gone.
    pub seq: i64,
    pub hash: Vec<u8>,
    /// Sum over the ledger's seals.
    pub seals: Vec<u8>,
    pub moved_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
