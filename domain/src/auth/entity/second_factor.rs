//! A second factor: the seed of a one-time-password generator, or one recovery code.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{FactorId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "second_factors")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: FactorId,
    pub user_id: UserId,
    /// `totp` or `recovery`.
    pub kind: String,
    pub sealed_secret: Option<Vec<u8>>,
    pub code_mac: Option<Vec<u8>>,
    /// The last time step whose code was used: a code works once.
    pub last_step: i64,
    pub created_at: Timestamp,
    pub confirmed_at: Option<Timestamp>,
    pub used_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
