//! An e-mail address of an account.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{EmailId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_emails")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EmailId,
    pub user_id: UserId,
    pub realm_id: Uuid,
    pub address: String,
    pub canonical: String,
    pub is_primary: bool,
    pub verified_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
