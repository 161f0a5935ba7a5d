//! Failures against one name, known or not; and mails to one address.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "throttles")]
pub struct Model {
    /// Keyed hash of what was tried: an account or a canonical name, with the kind of attempt.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_mac: Vec<u8>,
    pub failures: i32,
    pub last_at: Timestamp,
    pub blocked_until: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
