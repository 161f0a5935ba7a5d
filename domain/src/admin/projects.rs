//! Projects of all organisations, as superusers see and change them: what they are called and how much is in them.

use sea_orm::{FromQueryResult, Value};

use crate::access::grant::{ProjectsDelete, ProjectsRead, ProjectsUpdate, require_recent_sign_in};
use crate::access::{OverseenProject, Superuser};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OrgId, ProjectId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Problem, Reads, Result, Timestamp, WriteTx, text};
use crate::projects::{project, settings};

/// A project with what is in it, counted.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Project {
    pub id: ProjectId,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub org_id: OrgId,
    pub org_slug: String,
    pub org_name: String,
    /// People and service accounts with a role in this very project.
    pub members: i64,
    pub environments: i64,
    pub secrets: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Live projects of live organisations; `$1` is now.
const SELECT: &str = "SELECT p.id, p.slug, p.name, p.description, p.org_id, o.slug AS org_slug, o.name AS org_name,
        (SELECT COUNT(DISTINCT m.subject_id) FROM memberships m
            WHERE m.scope_id = p.id AND (m.expires_at IS NULL OR m.expires_at > $1)) AS members,
        (SELECT COUNT(*) FROM environments e WHERE e.project_id = p.id AND e.deleted_at IS NULL) AS environments,
        (SELECT COUNT(*) FROM secrets s JOIN environments e ON e.id = s.environment_id AND e.deleted_at IS NULL
            WHERE s.project_id = p.id AND s.deleted_at IS NULL) AS secrets,
        p.created_at, p.updated_at
    FROM projects p JOIN orgs o ON o.id = p.org_id AND o.deleted_at IS NULL
    WHERE p.deleted_at IS NULL";

/// A filter; `$2` is a pattern in lower case.
const SEARCHED: &str = " AND (lower(p.name) LIKE $2 ESCAPE '!' OR p.slug LIKE $2 ESCAPE '!'
    OR lower(o.name) LIKE $2 ESCAPE '!' OR o.slug LIKE $2 ESCAPE '!')";

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// The projects, by name; those that are called something with this in it, or whose organisations are, if that is asked
/// for.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(from: &impl Reads, _: &Superuser, search: Option<&str>, page: PageRequest) -> Result<Page<Project>> {
    let mut values: Vec<Value> = vec![from.now().into()];
    let mut filter = "";
    if let Some(search) = search.filter(|search| !search.is_empty()) {
        filter = SEARCHED;
        values.push(text::containing(search).into());
    }
    let counting = format!("SELECT COUNT(*) AS n FROM ({SELECT}{filter}) x");
    let count = Count::find_by_statement(from.sql(&counting, values.clone()));
    let total = count.one(from.conn()).await?.map_or(0, |count| count.n);
    let order = format!(" ORDER BY p.name, p.id LIMIT {} OFFSET {}", page.limit, page.offset);
    let sql = format!("{SELECT}{filter}{order}");
    Ok(Page {
        data: Project::find_by_statement(from.sql(&sql, values))
            .all(from.conn())
            .await?,
        request: page,
        total: u64::try_from(total).unwrap_or(0),
    })
}

async fn load(from: &impl Reads, id: ProjectId) -> Result<Project> {
    let sql = format!("{SELECT} AND p.id = $2");
    let values = [from.now().into(), id.into()];
    let found = Project::find_by_statement(from.sql(&sql, values))
        .one(from.conn())
        .await?;
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// One project.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn get(from: &impl Reads, project: &OverseenProject<ProjectsRead>) -> Result<Project> {
    load(from, project.project).await
}

/// What a project is to be called; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct ProjectPatch {
    pub name: Option<String>,
    pub description: Option<String>,
}

fn entry<A>(project: &OverseenProject<A>, action: Action) -> Entry {
    Entry::in_org(project.org, action, Target::Project(project.project)).project(project.project)
}

/// # Errors
/// `invalid_field`.
pub async fn update(
    tx: &WriteTx,
    superuser: &Superuser,
    project: &OverseenProject<ProjectsUpdate>,
    patch: ProjectPatch,
) -> Result<Project> {
    let ProjectPatch { name, description } = patch;
    let changed = settings::describe(tx, project.project, name.as_deref(), description.as_deref()).await?;
    let entry = entry(project, Action::ProjectUpdated).with("changed", changed);
    journal::record(tx, superuser.origin(), entry).await?;
    load(tx, project.project).await
}

/// Deletes a project: from now on it answers as if it were absent. Its owners can restore it.
///
/// # Errors
/// `step_up_required`.
pub async fn delete(tx: &WriteTx, superuser: &Superuser, project: &OverseenProject<ProjectsDelete>) -> Result<()> {
    require_recent_sign_in(tx, superuser.caller())?;
    project::remove(tx, project.org, project.project).await?;
    journal::record(tx, superuser.origin(), entry(project, Action::ProjectDeleted)).await?;
    Ok(())
}
