//! An invitation to an organisation or to one of its projects.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{InviteId, OrgId, ProjectId, RoleId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invites")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InviteId,
    pub org_id: OrgId,
    pub project_id: Option<ProjectId>,
    /// The project or else the organisation.
    pub scope_id: Uuid,
    /// The address as typed; `None` = an open link.
    pub address: Option<String>,
    pub canonical: Option<String>,
    pub role_id: RoleId,
    pub env_classes: Option<String>,
    /// Whoever accepts becomes a user of the realm and not a member.
    pub for_realm: bool,
    pub token_mac: Vec<u8>,
    pub max_uses: i32,
    pub uses: i32,
    pub invited_by: UserId,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
