//! Slugs to ids within an organisation, for patterns and filters that are stored by id; and what belongs to whom.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::entity::{environment, project};
use crate::access::pattern::Pattern;
use crate::kernel::id::{EnvId, OrgId, ProjectId};
use crate::kernel::{Reads, Result};

/// Every live project and environment of an organisation.
pub struct Places {
    projects: HashMap<String, ProjectId>,
    environments: HashMap<(ProjectId, String), EnvId>,
}

impl Places {
    pub fn project(&self, slug: &str) -> Option<ProjectId> {
        self.projects.get(slug).copied()
    }

    pub fn environment(&self, project: ProjectId, slug: &str) -> Option<EnvId> {
        self.environments.get(&(project, slug.to_owned())).copied()
    }

    /// A project by its id or slug, with its slug.
    pub fn named_project(&self, name: &str) -> Option<(ProjectId, &str)> {
        let is_meant = |slug: &str, id: ProjectId| slug == name || name.parse() == Ok(id);
        let mut meant = self.projects.iter().filter(|(slug, id)| is_meant(slug, **id));
        meant.next().map(|(slug, id)| (*id, slug.as_str()))
    }

    /// The slug that a project has today; `None` when it is gone.
    pub fn project_slug(&self, id: ProjectId) -> Option<&str> {
        let mut slugs = self.projects.iter().filter(|(_, known)| **known == id);
        slugs.next().map(|(slug, _)| slug.as_str())
    }

    /// The slug that an environment has today; `None` when it is gone.
    pub fn environment_slug(&self, id: EnvId) -> Option<&str> {
        let mut slugs = self.environments.iter().filter(|(_, known)| **known == id);
        slugs.next().map(|((_, slug), _)| slug.as_str())
    }

    /// A pattern as people write it today.
    pub fn text_of(&self, pattern: &Pattern) -> String {
        pattern.to_text(|id| self.project_slug(id), |id| self.environment_slug(id))
    }

    pub fn has_project(&self, id: ProjectId) -> bool {
        self.projects.values().any(|known| *known == id)
    }

    pub fn has_environment(&self, id: EnvId) -> bool {
        self.environments.values().any(|known| *known == id)
    }
}

/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn all(from: &impl Reads, org: OrgId) -> Result<Places> {
    let projects = project::Entity::find()
        .filter(project::Column::OrgId.eq(org))
        .filter(project::Column::DeletedAt.is_null())
        .all(from.conn())
        .await?;
    let environments = environment::Entity::find()
        .filter(environment::Column::OrgId.eq(org))
        .filter(environment::Column::DeletedAt.is_null())
        .all(from.conn())
        .await?;
    Ok(Places {
        projects: projects.into_iter().map(|row| (row.slug, row.id)).collect(),
        environments: environments
            .into_iter()
            .map(|row| ((row.project_id, row.slug), row.id))
            .collect(),
    })
}

/// A live project of the organisation by its id or slug, with its slug.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn project(from: &impl Reads, org: OrgId, reference: &str) -> Result<Option<(ProjectId, String)>> {
    let by = match reference.parse::<ProjectId>() {
        Ok(id) => project::Column::Id.eq(id),
        Err(_) => project::Column::Slug.eq(reference),
    };
    let found = project::Entity::find()
        .filter(project::Column::OrgId.eq(org))
        .filter(project::Column::DeletedAt.is_null())
        .filter(by)
        .one(from.conn())
        .await?;
    Ok(found.map(|row| (row.id, row.slug)))
}

/// The organisation of a project, deleted or not; `None` when it is gone for good.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn org_of(from: &impl Reads, id: ProjectId) -> Result<Option<OrgId>> {
    let found = project::Entity::find_by_id(id).one(from.conn()).await?;
    Ok(found.map(|row| row.org_id))
}
