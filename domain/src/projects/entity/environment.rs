//! An environment of a project.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{EnvId, OrgId, ProjectId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "environments")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: EnvId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub slug: String,
    pub name: String,
    pub class: String,
    pub protected: bool,
    pub position: i32,
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
