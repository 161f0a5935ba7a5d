//! Any stored credential: session, refresh token, personal token, service-account key.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{CredentialId, OrgId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credentials")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CredentialId,
    pub kind: String,
    pub principal_type: String,
    pub principal_id: Uuid,
    pub secret_mac: Vec<u8>,
    pub prefix: String,
    pub last_four: String,
    pub name: String,
    pub scopes: Option<String>,
    pub patterns: Option<String>,
    pub org_id: Option<OrgId>,
    pub family_id: Option<Uuid>,
    pub replaced_by: Option<CredentialId>,
    pub auth_time: Option<Timestamp>,
    /// How a session was opened: a JSON list of `pwd`, `code`, `otp`, `recovery`.
    pub amr: Option<String>,
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub idle_expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
