//! A service account; its keys are credentials.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{OrgId, ProjectId, ServiceAccountId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "service_accounts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ServiceAccountId,
    pub org_id: OrgId,
    /// The one project that it can act in; `None` = the whole organisation.
    pub project_id: Option<ProjectId>,
    pub name: String,
    pub description: String,
    /// Addresses and CIDR ranges that its keys work from, as a JSON list; empty = anywhere.
    pub ip_allow: String,
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
