//! An allow or deny rule.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::{AclRuleId, OrgId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "acl_rules")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AclRuleId,
    pub org_id: OrgId,
    pub subject_type: String,
    pub subject_id: Uuid,
    /// The pattern in canonical text over ids, so that one subject and pattern have one rule.
    pub pattern_text: String,
    /// The pattern with ids, as JSON.
    pub pattern: String,
    /// A JSON list of strings.
    pub permissions: String,
    pub effect: String,
    pub created_by: Option<Uuid>,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
