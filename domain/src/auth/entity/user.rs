//! An account.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::UserId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    pub realm_id: Uuid,
    pub username: Option<String>,
    pub first_name: String,
    pub last_name: String,
    pub password_hash: Option<String>,
    pub is_superuser: bool,
    pub disabled_at: Option<Timestamp>,
    pub auth_epoch: i64,
    pub last_login_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
