//! Environments: where secrets live. The class decides who may read: an unknown name counts as production.

use std::collections::HashMap;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};

use super::entity::environment;
use crate::access::grant::{EnvsManage, EnvsRead, TemplatesManage};
use crate::access::{Caller, EnvAccess, EnvClass, EnvRef, ProjectAccess};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{EnvId, OrgId, ProjectId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::text;
use crate::kernel::{Backend, Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};
use crate::limits::{self, LimitKey, Scope};

/// Environments of one project at most.
const MAX_ENVIRONMENTS: u64 = 100;

/// An environment.
#[derive(Clone, Debug)]
pub struct Environment {
    pub id: EnvId,
    pub slug: String,
    pub name: String,
    pub class: EnvClass,
    /// Writes and promotions into it are gated.
    pub protected: bool,
    /// Number of its last change; 0 = never written.
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Environment {
    pub fn reference(&self) -> EnvRef<'_> {
        EnvRef {
            id: self.id,
            slug: &self.slug,
            class: self.class,
        }
    }
}

fn environment(row: environment::Model) -> Result<Environment> {
    let environment::Model {
        id,
        org_id: _,
        project_id: _,
        slug,
        name,
        class,
        protected,
        position: _,
        revision,
        created_at,
        updated_at,
        deleted_at: _,
    } = row;
    let class = EnvClass::parse(&class).map_err(|_| Error::internal(format!("environment {id} is stored wrongly")))?;
    Ok(Environment {
        id,
        slug,
        name,
        class,
        protected,
        revision,
        created_at,
        updated_at,
    })
}

fn slug_taken() -> Error {
    Problem::new(
        ProblemCode::SlugTaken,
        "An environment of this project has this slug. Choose another.",
    )
    .with("field", "slug")
    .into()
}

fn unique_slug(error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => slug_taken(),
        _ => Error::Db(error),
    }
}

#[derive(Clone, Copy)]
struct Place {
    org: OrgId,
    project: ProjectId,
    position: i32,
}

fn new_row(
    tx: &WriteTx,
    place: Place,
    slug: String,
    name: String,
    class: EnvClass,
    protected: bool,
) -> Result<environment::ActiveModel> {
    Ok(environment::ActiveModel {
        id: Set(tx.new_id()?),
        org_id: Set(place.org),
        project_id: Set(place.project),
        slug: Set(slug),
        name: Set(name),
        class: Set(class.as_str().to_owned()),
        protected: Set(protected),
        position: Set(place.position),
        revision: Set(0),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        deleted_at: Set(None),
    })
}

/// What every project begins with: slugs and names.
const DEFAULTS: [(&str, &str); 3] = [
    ("development", "Development"),
    ("staging", "Staging"),
    ("production", "Production"),
];

/// The three environments that every project begins with.
pub(super) async fn insert_defaults(tx: &WriteTx, org: OrgId, project: ProjectId) -> Result<Vec<Environment>> {
    limits::begin_with(
        tx,
        Scope::project(org, project),
        LimitKey::EnvironmentsPerProject,
        i64::try_from(DEFAULTS.len()).unwrap_or(i64::MAX),
    )
    .await?;
    let mut made = Vec::new();
    for (position, (slug, name)) in (0..).zip(DEFAULTS) {
        let place = Place { org, project, position };
        let row = new_row(
            tx,
            place,
            slug.to_owned(),
            name.to_owned(),
            EnvClass::infer(slug),
            false,
        )?;
        made.push(environment(
            environment::Entity::insert(row).exec_with_returning(tx.conn()).await?,
        )?);
    }
    Ok(made)
}

/// Environments of several projects, in their order.
pub(super) async fn of_projects(
    from: &impl Reads,
    projects: &[ProjectId],
) -> Result<HashMap<ProjectId, Vec<Environment>>> {
    let rows = environment::Entity::find()
        .filter(environment::Column::ProjectId.is_in(projects.iter().copied()))
        .filter(environment::Column::DeletedAt.is_null())
        .order_by_asc(environment::Column::Position)
        .order_by_asc(environment::Column::CreatedAt)
        .all(from.conn())
        .await?;
    let mut grouped: HashMap<ProjectId, Vec<Environment>> = HashMap::new();
    for row in rows {
        grouped.entry(row.project_id).or_default().push(environment(row)?);
    }
    Ok(grouped)
}

/// A new environment.
pub struct NewEnvironment {
    pub name: String,
    pub slug: Option<String>,
    /// `None` = inferred from the slug; what is not known counts as production.
    pub class: Option<EnvClass>,
    pub protected: bool,
}

/// # Errors
/// `invalid_field`, `slug_taken`, `plan_limit_exceeded`.
pub async fn create(
    tx: &WriteTx,
    caller: &Caller,
    access: &ProjectAccess<EnvsManage>,
    new: NewEnvironment,
) -> Result<Environment> {
    let NewEnvironment {
        name,
        slug,
        class,
        protected,
    } = new;
    let name = text::name("name", &name)?;
    let slug = match slug {
        Some(slug) => text::slug("slug", &slug)?,
        None => text::slug_from(&name)
            .ok_or_else(|| Problem::field("slug", "required", "cannot be made from the name; send one"))?,
    };
    lock(tx, access.project.id).await?;
    let live = environment::Entity::find()
        .filter(environment::Column::ProjectId.eq(access.project.id))
        .filter(environment::Column::DeletedAt.is_null());
    let count = live.clone().count(tx.conn()).await?;
    if count >= MAX_ENVIRONMENTS {
        return Err(Problem::new(
            ProblemCode::Conflict,
            format!("A project has at most {MAX_ENVIRONMENTS} environments."),
        )
        .into());
    }
    if live
        .filter(environment::Column::Slug.eq(&slug))
        .one(tx.conn())
        .await?
        .is_some()
    {
        return Err(slug_taken());
    }
    limits::freeze::require_open(tx, access.org.id, access.project.id).await?;
    let scope = Scope::project(access.org.id, access.project.id);
    limits::reserve(tx, scope, LimitKey::EnvironmentsPerProject, 1).await?;
    let class = class.unwrap_or_else(|| EnvClass::infer(&slug));
    let position = i32::try_from(count).unwrap_or(i32::MAX);
    let row = new_row(
        tx,
        Place {
            org: access.org.id,
            project: access.project.id,
            position,
        },
        slug,
        name,
        class,
        protected,
    )?;
    let made = environment(
        environment::Entity::insert(row)
            .exec_with_returning(tx.conn())
            .await
            .map_err(unique_slug)?,
    )?;
    let entry =
        entry(access.org.id, Action::EnvironmentCreated, access.project.id, &made).with("slug", made.slug.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(made)
}

fn entry(org: OrgId, action: Action, project: ProjectId, env: &Environment) -> Entry {
    Entry::in_org(org, action, Target::Environment(env.id))
        .project(project)
        .environment(env.id, env.revision)
}

/// The environments of a project that the caller may know of, in their order.
///
/// # Errors
/// [`Error::Db`].
pub async fn known<A>(from: &impl Reads, access: &ProjectAccess<A>) -> Result<Vec<Environment>> {
    let mut grouped = of_projects(from, &[access.project.id]).await?;
    let all = grouped.remove(&access.project.id).unwrap_or_default();
    Ok(all.into_iter().filter(|env| access.sees_env(env.reference())).collect())
}

/// A page of [`known`].
///
/// # Errors
/// [`Error::Db`].
pub async fn list<A>(from: &impl Reads, access: &ProjectAccess<A>, page: PageRequest) -> Result<Page<Environment>> {
    Ok(Page::of(known(from, access).await?, page))
}

/// # Errors
/// [`Error::Db`].
pub async fn get(from: &impl Reads, access: &EnvAccess<EnvsRead>) -> Result<Environment> {
    load(from, access.env.id).await
}

async fn load(from: &impl Reads, id: EnvId) -> Result<Environment> {
    environment(
        environment::Entity::find_by_id(id)
            .one(from.conn())
            .await?
            .ok_or_else(Problem::not_found)?,
    )
}

/// Changes to an environment; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentPatch {
    pub name: Option<String>,
    pub slug: Option<String>,
    pub class: Option<EnvClass>,
    pub protected: Option<bool>,
}

/// # Errors
/// `invalid_field`, `slug_taken`; `forbidden` for another class that would let the caller do more there than they may
/// now, and for lifting the protection without `templates:manage`.
pub async fn update(
    tx: &WriteTx,
    caller: &Caller,
    access: &EnvAccess<EnvsManage>,
    patch: EnvironmentPatch,
) -> Result<Environment> {
    let EnvironmentPatch {
        name,
        slug,
        class,
        protected,
    } = patch;
    let mut changed = Vec::new();
    let mut row = environment::ActiveModel {
        id: Set(access.env.id),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    if let Some(name) = name {
        row.name = Set(text::name("name", &name)?);
        changed.push("name");
    }
    if let Some(slug) = slug {
        row.slug = Set(text::slug("slug", &slug)?);
        changed.push("slug");
    }
    if let Some(class) = class {
        if class != access.env.class {
            access.require_no_gain_by(class)?;
        }
        row.class = Set(class.as_str().to_owned());
        changed.push("class");
    }
    if let Some(protected) = protected {
        if !protected && load(tx, access.env.id).await?.protected {
            // The template may hold it: who lifts that could change the template too.
            access.also::<TemplatesManage>()?;
        }
        row.protected = Set(protected);
        changed.push("protected");
    }
    environment::Entity::update(row)
        .exec(tx.conn())
        .await
        .map_err(unique_slug)?;
    let updated = load(tx, access.env.id).await?;
    let entry = entry(access.org.id, Action::EnvironmentUpdated, access.project.id, &updated).with("changed", changed);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(updated)
}

/// Who makes or deletes an environment keeps others waiting who do, so that what was counted still holds when it is
/// written. SQLite has one writer anyway.
async fn lock(tx: &WriteTx, project: ProjectId) -> Result<()> {
    if tx.backend() == Backend::Postgres {
        let sql = "SELECT id FROM projects WHERE id = $1 FOR NO KEY UPDATE";
        tx.conn().execute_raw(tx.sql(sql, [project.into()])).await?;
    }
    Ok(())
}

/// Deletes an environment. Its secrets and their history stay stored and out of reach.
///
/// # Errors
/// `conflict` for the last environment of a project.
pub async fn delete(tx: &WriteTx, caller: &Caller, access: &EnvAccess<EnvsManage>) -> Result<()> {
    lock(tx, access.project.id).await?;
    let env = load(tx, access.env.id).await?;
    let live = environment::Entity::find()
        .filter(environment::Column::ProjectId.eq(access.project.id))
        .filter(environment::Column::DeletedAt.is_null())
        .count(tx.conn())
        .await?;
    if live <= 1 {
        return Err(Problem::new(ProblemCode::Conflict, "A project keeps at least one environment.").into());
    }
    let sql = "UPDATE environments SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL";
    let deleted = tx
        .conn()
        .execute_raw(tx.sql(sql, [env.id.into(), tx.now().into()]))
        .await?;
    if deleted.rows_affected() > 0 {
        let scope = Scope::project(access.org.id, access.project.id);
        limits::release(tx, scope, LimitKey::EnvironmentsPerProject, 1).await?;
        // Its secrets are out of reach from now on. Whoever was writing one has committed: the row above waited for them.
        let secrets = crate::secrets::count_live(tx, env.id).await?;
        limits::release(tx, scope, LimitKey::SecretsPerProject, secrets).await?;
    }
    let entry =
        entry(access.org.id, Action::EnvironmentDeleted, access.project.id, &env).with("slug", env.slug.clone());
    journal::record(tx, &caller.origin, entry).await?;
    tx.will_tell(env.id);
    Ok(())
}
