//! Slugs to ids within an organisation, for patterns and filters that are stored by id, and back; and what belongs to
//! whom.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::entity::{environment, project};
use crate::access::pattern::Pattern;
use crate::access::sight::Sees;
use crate::access::{EnvClass, EnvRef, ProjectRef};
use crate::kernel::id::{EnvId, OrgId, ProjectId};
use crate::kernel::{Error, Reads, Result};

/// Live projects and environments by their ids.
#[derive(Debug, Default)]
pub struct Names {
    projects: HashMap<ProjectId, String>,
    environments: HashMap<EnvId, (String, EnvClass)>,
}

impl Names {
    /// `None` when it is gone.
    pub fn project(&self, id: ProjectId) -> Option<ProjectRef<'_>> {
        let slug = self.projects.get(&id)?;
        Some(ProjectRef { id, slug })
    }

    /// `None` when it is gone.
    pub fn environment(&self, id: EnvId) -> Option<EnvRef<'_>> {
        let (slug, class) = self.environments.get(&id)?;
        Some(EnvRef {
            id,
            slug,
            class: *class,
        })
    }

    /// A pattern as people write it today; what is gone keeps its id.
    pub fn text_of(&self, pattern: &Pattern) -> String {
        pattern.to_text(
            |id| self.project(id).map(|project| project.slug),
            |id| self.environment(id).map(|env| env.slug),
        )
    }

    /// A pattern as somebody may read it: what is gone, or hidden from them, keeps its id.
    pub fn text_for(&self, pattern: &Pattern, reader: &impl Sees) -> String {
        let project = pattern.project_id().and_then(|id| self.project(id));
        let project = project.filter(|project| reader.sees_project(*project));
        let env = pattern.env_id().and_then(|id| self.environment(id));
        let env = env.filter(|env| project.is_some_and(|project| reader.sees_env(project, *env)));
        pattern.to_text(|_| project.map(|project| project.slug), |_| env.map(|env| env.slug))
    }

    /// Whether nothing that the pattern names is gone.
    pub fn has_all_of(&self, pattern: &Pattern) -> bool {
        pattern.project_id().is_none_or(|id| self.project(id).is_some())
            && pattern.env_id().is_none_or(|id| self.environment(id).is_some())
    }

    fn of(projects: Vec<project::Model>, environments: Vec<environment::Model>) -> Result<Self> {
        let mut names = Self::default();
        for row in projects {
            names.projects.insert(row.id, row.slug);
        }
        for row in environments {
            let broken = |_| Error::internal(format!("environment {} is stored wrongly", row.id));
            let class = EnvClass::parse(&row.class).map_err(broken)?;
            names.environments.insert(row.id, (row.slug, class));
        }
        Ok(names)
    }
}

/// The names of all that is named by some patterns, of whatever organisations.
///
/// # Errors
/// [`Error::Db`].
pub async fn of_patterns(from: &impl Reads, patterns: &[&Pattern]) -> Result<Names> {
    let projects: BTreeSet<ProjectId> = patterns.iter().filter_map(|pattern| pattern.project_id()).collect();
    let environments: BTreeSet<EnvId> = patterns.iter().filter_map(|pattern| pattern.env_id()).collect();
    // An environment is named together with its project.
    if projects.is_empty() {
        return Ok(Names::default());
    }
    let projects = project::Entity::find()
        .filter(project::Column::Id.is_in(projects))
        .filter(project::Column::DeletedAt.is_null())
        .all(from.conn())
        .await?;
    let environments = environment::Entity::find()
        .filter(environment::Column::Id.is_in(environments))
        .filter(environment::Column::DeletedAt.is_null())
        .all(from.conn())
        .await?;
    Names::of(projects, environments)
}

/// Every live project and environment of an organisation.
#[derive(Debug)]
pub struct Places {
    names: Names,
    projects: HashMap<String, ProjectId>,
    environments: HashMap<(ProjectId, String), EnvId>,
}

impl Places {
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// A project by its slug.
    pub fn project(&self, slug: &str) -> Option<ProjectRef<'_>> {
        self.names.project(*self.projects.get(slug)?)
    }

    /// An environment of a project by its slug.
    pub fn environment(&self, project: ProjectId, slug: &str) -> Option<EnvRef<'_>> {
        let id = self.environments.get(&(project, slug.to_owned()))?;
        self.names.environment(*id)
    }

    /// A project by its id or slug.
    pub fn named_project(&self, name: &str) -> Option<ProjectRef<'_>> {
        let by_id = || self.names.project(name.parse().ok()?);
        self.project(name).or_else(by_id)
    }

    pub fn has_project(&self, id: ProjectId) -> bool {
        self.names.project(id).is_some()
    }

    pub fn has_environment(&self, id: EnvId) -> bool {
        self.names.environment(id).is_some()
    }
}

/// # Errors
/// [`Error::Db`].
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
        projects: projects.iter().map(|row| (row.slug.clone(), row.id)).collect(),
        environments: environments
            .iter()
            .map(|row| ((row.project_id, row.slug.clone()), row.id))
            .collect(),
        names: Names::of(projects, environments)?,
    })
}

/// A live project of the organisation by its id or slug, with its slug.
///
/// # Errors
/// [`Error::Db`].
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
