//! One revision of an environment: what kind of change it was, and whose. Its change set, which is long, is read by none but who
//! watches.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::EnvId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "environment_revisions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub environment_id: EnvId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    /// The journal's name for it: `secret.bulk_set`.
    pub action: String,
    /// How many secrets it changed.
    pub changes: i64,
    pub author_type: String,
    pub author_id: Uuid,
    pub author_label: Option<String>,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
