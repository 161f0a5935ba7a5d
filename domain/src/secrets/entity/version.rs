//! One version of a secret, sealed.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::SecretId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "secret_versions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub secret_id: SecretId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    pub sealed_value: Option<Vec<u8>>,
    pub sealed_comment: Option<Vec<u8>>,
    pub fingerprint: Vec<u8>,
    pub created_by_type: String,
    pub created_by_id: Uuid,
    pub created_at: Timestamp,
    /// Of the environment: the one that stored it.
    pub revision: i64,
    pub destroyed_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
