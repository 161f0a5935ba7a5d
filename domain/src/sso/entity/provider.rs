//! An identity provider, as it is set up.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::OrgId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sso_providers")]
pub struct Model {
    /// Zeros for the instance's, else the id of its organisation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub org_id: Option<OrgId>,
    pub name: String,
    pub enabled: bool,
    pub issuer: String,
    pub client_id: String,
    pub sealed_secret: Option<Vec<u8>>,
    pub discovery: bool,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    pub jwks_uri: Option<String>,
    pub end_session_endpoint: Option<String>,
    /// Words with blanks between.
    pub scopes: String,
    pub create_unknown_user: bool,
    /// A JSON list, in lower case.
    pub allowed_domains: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
