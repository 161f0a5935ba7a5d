//! A role held at an organisation or a project.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{MembershipId, OrgId, ProjectId, RoleId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "memberships")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MembershipId,
    pub org_id: OrgId,
    pub project_id: Option<ProjectId>,
    pub scope_id: Uuid,
    pub subject_type: String,
    pub subject_id: Uuid,
    pub role_id: RoleId,
    pub env_classes: Option<String>,
    pub granted_by: Option<Uuid>,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
