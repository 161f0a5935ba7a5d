//! Every environment of a project at once, with what the caller may do in each.

use std::marker::PhantomData;

use sea_orm::FromQueryResult;

use super::caller::Caller;
use super::class::EnvClass;
use super::decide::{Decision, decide, decide_any_key, visible};
use super::environment::EnvAccess;
use super::facts::{EnvRef, ProjectRef, Resource};
use super::grant::{Permitted, loaded};
use super::load::{EnvRow, Loaded, ProjectRow, broken};
use crate::kernel::id::{EnvId, ProjectId};
use crate::kernel::{Problem, Reads, Result};

/// The environments of a project that the caller may know of, each kind in the order of the project.
#[derive(Debug)]
pub struct ProjectEnvs<A> {
    pub project: ProjectRow,
    /// Those in which the caller may do `A` to at least some key.
    pub granted: Vec<EnvAccess<A>>,
    /// Those in which it may not.
    pub refused: Vec<EnvRow>,
}

impl<A> ProjectEnvs<A> {
    /// One environment, for what can be about one or all.
    pub fn only(access: EnvAccess<A>) -> Self {
        Self {
            project: access.project.clone(),
            granted: vec![access],
            refused: Vec::new(),
        }
    }

    /// All of them.
    pub fn known(&self) -> impl Iterator<Item = &EnvRow> {
        self.granted.iter().map(|access| &access.env).chain(&self.refused)
    }
}

/// Loads the environments of a project, in at least one of which the caller may do `A`, which is about secrets, to at
/// least some key.
///
/// # Errors
/// `not_found`, `forbidden`, `insufficient_scope`: as of the first environment that the caller may know of.
pub async fn envs<A: Permitted>(
    from: &impl Reads,
    caller: &Caller,
    org: &str,
    project: &str,
) -> Result<ProjectEnvs<A>> {
    let (Loaded { org, project, .. }, held) = loaded(from, caller, &[org, project]).await?;
    let project = project.ok_or_else(Problem::not_found)?;
    let place = ProjectRef {
        id: project.id,
        slug: &project.slug,
    };
    let (mut granted, mut refused, mut refusal) = (Vec::new(), Vec::new(), None);
    for env in rows(from, project.id).await? {
        let reference = EnvRef {
            id: env.id,
            slug: &env.slug,
            class: env.class,
        };
        let resource = Resource::env(org.id, place, reference);
        if !visible(&held.actor, &resource, &held.facts, held.now) {
            continue;
        }
        let decision = decide_any_key(&held.actor, A::PERMISSION, &resource, &held.facts, held.now);
        if decision.allow {
            granted.push(EnvAccess {
                org: org.clone(),
                project: project.clone(),
                env,
                held: held.clone(),
                permission: PhantomData,
            });
        } else {
            refusal = refusal.or(Some(decision));
            refused.push(env);
        }
    }
    let resource = Resource::project(org.id, place);
    if granted.is_empty() {
        let nowhere = || decide(&held.actor, A::PERMISSION, &resource, &held.facts, held.now);
        let decision = Decision {
            allow: false,
            ..refusal.unwrap_or_else(nowhere)
        };
        held.require(decision, A::PERMISSION, &resource)?;
    }
    held.require_second_factor()?;
    Ok(ProjectEnvs {
        project,
        granted,
        refused,
    })
}

#[derive(FromQueryResult)]
struct Row {
    id: EnvId,
    slug: String,
    class: String,
    revision: i64,
}

async fn rows(from: &impl Reads, project: ProjectId) -> Result<Vec<EnvRow>> {
    let sql = "SELECT id, slug, class, revision FROM environments
               WHERE project_id = $1 AND deleted_at IS NULL ORDER BY position, created_at";
    let rows = Row::find_by_statement(from.sql(sql, [project.into()]))
        .all(from.conn())
        .await?;
    rows.into_iter().map(row).collect()
}

fn row(row: Row) -> Result<EnvRow> {
    let Row {
        id,
        slug,
        class,
        revision,
    } = row;
    let class = EnvClass::parse(&class).map_err(|_| broken("an environment's class")())?;
    Ok(EnvRow {
        id,
        slug,
        class,
        revision,
    })
}
