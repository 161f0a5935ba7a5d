//! An organisation.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{OrgId, RoleId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "orgs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: OrgId,
    pub slug: String,
    pub name: String,
    pub is_personal: bool,
    pub plan: String,
    pub join_policy: String,
    /// Domains whose verified addresses may join, as a JSON list.
    pub join_domains: String,
    /// What joining gives; `None` = member.
    pub join_role_id: Option<RoleId>,
    pub require_mfa: bool,
    /// Whether it has users of its own.
    pub realm_enabled: bool,
    pub metadata: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
