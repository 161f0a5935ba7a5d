//! A key of a project's template.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{OrgId, ProjectId, TemplateKeyId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "template_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TemplateKeyId,
    pub org_id: OrgId,
    pub project_id: ProjectId,
    pub key: String,
    pub description: String,
    pub required: bool,
    /// A JSON list of strings: ids of environments, and classes with an `@`. Empty = everywhere.
    pub environments: String,
    pub pattern: Option<String>,
    /// A JSON list of strings. Empty = any value.
    pub allowed_values: String,
    pub min_length: Option<i64>,
    pub max_length: Option<i64>,
    pub default_value: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
