//! The keys of a template: what is stored, and how it is shown.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entity::template_key;
use super::rule::{Rule, RuleRow};
use crate::access::ProjectAccess;
use crate::access::grant::TemplatesRead;
use crate::kernel::id::{ProjectId, TemplateKeyId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Reads, Result, Timestamp};
use crate::projects::environment::{self, Environment};

/// A key of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateKey {
    pub id: TemplateKeyId,
    /// What it is for; may be empty.
    pub description: String,
    pub rule: Rule,
    /// A value to begin with. It is no secret: whoever may read the template sees it.
    pub default: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl TemplateKey {
    pub(super) fn read(row: template_key::Model) -> Result<Self> {
        let template_key::Model {
            id,
            org_id: _,
            project_id: _,
            key,
            description,
            required,
            environments,
            pattern,
            allowed_values,
            min_length,
            max_length,
            default_value,
            created_at,
            updated_at,
        } = row;
        let rule = RuleRow {
            key,
            required,
            environments,
            pattern,
            allowed_values,
            min_length,
            max_length,
        };
        Ok(Self {
            id,
            description,
            rule: Rule::read(rule)?,
            default: default_value,
            created_at,
            updated_at,
        })
    }

    /// As somebody sees it who may know of these environments.
    pub(super) fn shown(self, known: &[Environment]) -> ShownKey {
        ShownKey {
            environments: self.rule.scope.names(known),
            key: self,
        }
    }
}

/// A key of a template as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownKey {
    pub key: TemplateKey,
    /// Slugs of today and classes, `@prod`; empty = everywhere.
    pub environments: Vec<String>,
}

/// The template of a project, in the order in which it was made.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(
    from: &impl Reads,
    access: &ProjectAccess<TemplatesRead>,
    page: PageRequest,
) -> Result<Page<ShownKey>> {
    let query = template_key::Entity::find().filter(template_key::Column::ProjectId.eq(access.project.id));
    let total = query.clone().count(from.conn()).await?;
    // Ids sort by the time at which they were made.
    let oldest = query.order_by_asc(template_key::Column::Id);
    let rows = oldest.offset(page.offset).limit(page.limit).all(from.conn()).await?;
    let known = environment::known(from, access).await?;
    let all = Page {
        data: rows,
        request: page,
        total,
    };
    all.try_map(|row| Ok(TemplateKey::read(row)?.shown(&known)))
}

/// The whole template of a project, in its order.
pub(super) async fn of_project(from: &impl Reads, project: ProjectId) -> Result<Vec<TemplateKey>> {
    let rows = template_key::Entity::find()
        .filter(template_key::Column::ProjectId.eq(project))
        .order_by_asc(template_key::Column::Id)
        .all(from.conn())
        .await?;
    rows.into_iter().map(TemplateKey::read).collect()
}
