//! An OAuth client.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{OAuthClientId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_clients")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OAuthClientId,
    pub owner_id: UserId,
    pub name: String,
    pub homepage: Option<String>,
    pub confidential: bool,
    /// A JSON list.
    pub redirect_uris: String,
    /// A JSON list.
    pub grant_types: String,
    /// Words with blanks between.
    pub scopes: String,
    pub signing_alg: String,
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
