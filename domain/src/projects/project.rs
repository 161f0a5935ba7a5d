//! Making, changing, deleting and restoring projects.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};

use super::entity::project;
use super::environment::{self, Environment};
use super::joining::Joining;
use super::template_gate::TemplateGate;
use crate::access::grant::{ProjectsCreate, ProjectsDelete, ProjectsRead};
use crate::access::{Caller, OrgAccess, Permission, ProjectAccess, ProjectRef};
use crate::crypto::key_store::{KeyPurpose, KeyScope, KeyStore};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OrgId, ProjectId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::text::{self, MAX_DESCRIPTION_LEN};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};
use crate::limits::{self, LimitKey, Scope};
use crate::members::ownership;

/// A project, as the caller sees it.
#[derive(Clone, Debug)]
pub struct Project {
    pub id: ProjectId,
    pub slug: String,
    pub name: String,
    pub description: String,
    /// The caller's role in the project, or else in the organisation.
    pub role: Option<String>,
    pub joining: Joining,
    pub template_gate: TemplateGate,
    pub environments: Vec<Environment>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

fn project(row: project::Model, role: Option<&str>, environments: Vec<Environment>) -> Result<Project> {
    let joining = Joining::read(&row)?;
    let template_gate = TemplateGate::read(&row)?;
    let project::Model {
        id,
        org_id: _,
        slug,
        name,
        description,
        join_policy: _,
        join_role_id: _,
        template_gate: _,
        created_at,
        updated_at,
        archived_at: _,
        deleted_at: _,
    } = row;
    Ok(Project {
        id,
        slug,
        name,
        description,
        role: role.map(str::to_owned),
        joining,
        template_gate,
        environments,
        created_at,
        updated_at,
    })
}

fn slug_taken() -> Error {
    Problem::new(
        ProblemCode::SlugTaken,
        "A project of this organisation has this slug, perhaps a deleted one that can be restored. Choose another.",
    )
    .with("field", "slug")
    .into()
}

pub(super) fn unique_slug(error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => slug_taken(),
        _ => Error::Db(error),
    }
}

/// Makes a project with its keys and the environments development, staging and production.
///
/// # Errors
/// `invalid_field`, `slug_taken`, `plan_limit_exceeded`.
pub async fn create(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &OrgAccess<ProjectsCreate>,
    name: &str,
    slug: Option<&str>,
    description: &str,
) -> Result<Project> {
    let name = text::name("name", name)?;
    let slug = match slug {
        Some(slug) => text::slug("slug", slug)?,
        None => free_slug(tx, access.org.id, &name).await?,
    };
    if exists(tx, access.org.id, &slug).await? {
        return Err(slug_taken());
    }
    limits::reserve(tx, Scope::org(access.org.id), LimitKey::Projects, 1).await?;
    let id: ProjectId = tx.new_id()?;
    let row = project::ActiveModel {
        id: Set(id),
        org_id: Set(access.org.id),
        slug: Set(slug),
        name: Set(name),
        description: Set(text::long("description", description, MAX_DESCRIPTION_LEN)?),
        join_policy: Set(Joining::NONE.policy().to_owned()),
        join_role_id: Set(None),
        template_gate: Set(TemplateGate::default().as_str().to_owned()),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        archived_at: Set(None),
        deleted_at: Set(None),
    };
    let row = project::Entity::insert(row)
        .exec_with_returning(tx.conn())
        .await
        .map_err(unique_slug)?;
    keys.create(tx, KeyScope::Project(id), &[KeyPurpose::Data, KeyPurpose::Fingerprint])
        .await?;
    let environments = environment::insert_defaults(tx, access.org.id, id).await?;
    let entry = Entry::in_org(access.org.id, Action::ProjectCreated, Target::Project(id))
        .project(id)
        .with("name", row.name.clone())
        .with("slug", row.slug.clone());
    journal::record(tx, &caller.origin, entry).await?;
    let role = access.role_in(ProjectRef { id, slug: &row.slug }).map(str::to_owned);
    project(row, role.as_deref(), environments)
}

async fn exists(from: &impl Reads, org: OrgId, slug: &str) -> Result<bool> {
    let found = project::Entity::find()
        .filter(project::Column::OrgId.eq(org))
        .filter(project::Column::Slug.eq(slug));
    Ok(found.one(from.conn()).await?.is_some())
}

/// A slug made from the name; when it is taken, with a few random letters.
async fn free_slug(tx: &WriteTx, org: OrgId, name: &str) -> Result<String> {
    let slug = text::slug_from(name)
        .ok_or_else(|| Problem::field("slug", "required", "cannot be made from the name; send one"))?;
    if exists(tx, org, &slug).await? {
        return text::with_suffix(&slug, tx.rng());
    }
    Ok(slug)
}

/// The projects that the caller may know of, by name.
///
/// # Errors
/// [`Error::Db`].
pub async fn list(from: &impl Reads, access: &OrgAccess<ProjectsRead>, page: PageRequest) -> Result<Page<Project>> {
    let rows = project::Entity::find()
        .filter(project::Column::OrgId.eq(access.org.id))
        .filter(project::Column::DeletedAt.is_null())
        .order_by_asc(project::Column::Name)
        .order_by_asc(project::Column::Id)
        .all(from.conn())
        .await?;
    let seen: Vec<_> = rows
        .into_iter()
        .filter(|row| {
            access.sees_project(ProjectRef {
                id: row.id,
                slug: &row.slug,
            })
        })
        .collect();
    let shown = Page::of(seen, page);
    let ids: Vec<ProjectId> = shown.data.iter().map(|row| row.id).collect();
    let mut environments = environment::of_projects(from, &ids).await?;
    shown.try_map(|row| {
        let place = ProjectRef {
            id: row.id,
            slug: &row.slug,
        };
        let own = environments.remove(&row.id).unwrap_or_default();
        let own = own
            .into_iter()
            .filter(|env| access.sees_env(place, env.reference()))
            .collect();
        let role = access.role_in(place).map(str::to_owned);
        project(row, role.as_deref(), own)
    })
}

async fn row_of<A>(from: &impl Reads, access: &ProjectAccess<A>) -> Result<project::Model> {
    Ok(project::Entity::find_by_id(access.project.id)
        .one(from.conn())
        .await?
        .ok_or_else(Problem::not_found)?)
}

pub(super) async fn load<A>(from: &impl Reads, access: &ProjectAccess<A>) -> Result<Project> {
    let row = row_of(from, access).await?;
    let mut environments = environment::of_projects(from, &[row.id]).await?;
    let own = environments.remove(&row.id).unwrap_or_default();
    let own = own.into_iter().filter(|env| access.sees_env(env.reference())).collect();
    project(row, access.role(), own)
}

/// # Errors
/// [`Error::Db`].
pub async fn get(from: &impl Reads, access: &ProjectAccess<ProjectsRead>) -> Result<Project> {
    load(from, access).await
}

/// Deletes a project: from now on it answers as if it were absent. It can be restored.
///
/// # Errors
/// `step_up_required` when the sign-in is older than ten minutes; `session_required` for an API token.
pub async fn delete(tx: &WriteTx, caller: &Caller, access: &ProjectAccess<ProjectsDelete>) -> Result<()> {
    crate::access::grant::require_recent_sign_in(tx, caller)?;
    remove(tx, access.org.id, access.project.id).await?;
    let entry = Entry::in_org(
        access.org.id,
        Action::ProjectDeleted,
        Target::Project(access.project.id),
    )
    .project(access.project.id);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// Brings a deleted project back, with everything in it. Who could delete it can restore it.
///
/// # Errors
/// `not_found`, `forbidden`, `plan_limit_exceeded`.
pub async fn restore(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<ProjectsRead>,
    reference: &str,
) -> Result<Project> {
    caller.session_user()?;
    let by = match reference.parse::<ProjectId>() {
        Ok(id) => project::Column::Id.eq(id),
        Err(_) => project::Column::Slug.eq(reference),
    };
    let found = project::Entity::find()
        .filter(project::Column::OrgId.eq(access.org.id))
        .filter(project::Column::DeletedAt.is_not_null())
        .filter(by)
        .one(tx.conn())
        .await?;
    let row = found.ok_or_else(Problem::not_found)?;
    let place = ProjectRef {
        id: row.id,
        slug: &row.slug,
    };
    if !access.sees_project(place) {
        return Err(Problem::not_found().into());
    }
    if !access.allows_in_project(Permission::ProjectsDelete, place) {
        return Err(Problem::forbidden("This needs the permission `projects:delete` here. Ask an owner.").into());
    }
    if set_deleted(tx, row.id, None).await? {
        limits::reserve(tx, Scope::org(access.org.id), LimitKey::Projects, 1).await?;
    }
    let entry = Entry::in_org(access.org.id, Action::ProjectRestored, Target::Project(row.id)).project(row.id);
    journal::record(tx, &caller.origin, entry).await?;
    let mut environments = environment::of_projects(tx, &[row.id]).await?;
    let own = environments.remove(&row.id).unwrap_or_default();
    let role = access.role_in(place).map(str::to_owned);
    project(row, role.as_deref(), own)
}

/// Deletes a project; whoever calls has checked that it may be, and journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn remove(tx: &WriteTx, org: OrgId, project: ProjectId) -> Result<()> {
    // The organisation's row before the project's: who sets its plan takes them in this order too.
    ownership::lock(tx, org).await?;
    if set_deleted(tx, project, Some(tx.now())).await? {
        limits::release(tx, Scope::org(org), LimitKey::Projects, 1).await?;
        limits::freeze::thaw(tx, org).await?;
    }
    Ok(())
}

/// Tells whether it was not so already: of two that delete at once, one is counted.
async fn set_deleted(tx: &WriteTx, id: ProjectId, at: Option<Timestamp>) -> Result<bool> {
    let was = if at.is_some() { "IS NULL" } else { "IS NOT NULL" };
    let sql = format!("UPDATE projects SET deleted_at = $2, updated_at = $3 WHERE id = $1 AND deleted_at {was}");
    let changed = tx
        .conn()
        .execute_raw(tx.sql(&sql, [id.into(), at.into(), tx.now().into()]))
        .await?;
    Ok(changed.rows_affected() > 0)
}
