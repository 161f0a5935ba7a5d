//! Making, changing, deleting and restoring organisations.

use std::time::Duration;

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
};
use serde_json::{Map, Value};

use super::entity::org;
use super::joining::{JoinPolicy, Joining};
use crate::access::grant::{OrgDelete, OrgRead};
use crate::access::{BuiltinRole, Caller, OrgAccess, Principal};
use crate::billing::customer;
use crate::crypto::key_store::{KeyPurpose, KeyScope, KeyStore};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OrgId, ProjectId, RoleId, UserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::text::{self, Email};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};
use crate::members::membership::{self, NewMembership, Scope};

/// A deleted organisation can be restored this long.
pub const RESTORE_WINDOW: Duration = Duration::from_hours(30 * 24);

/// An organisation, as one of its people sees it.
#[derive(Clone, Debug)]
pub struct Organisation {
    pub id: OrgId,
    pub slug: String,
    pub name: String,
    /// The caller's role in the whole organisation.
    pub role: Option<String>,
    pub is_personal: bool,
    pub plan: String,
    pub joining: Joining,
    pub require_mfa: bool,
    /// Whether it has users of its own, and gives them tokens.
    pub realm_enabled: bool,
    pub metadata: Map<String, Value>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

fn slug_taken() -> Error {
    Problem::new(
        ProblemCode::SlugTaken,
        "Another organisation has this slug. Choose another.",
    )
    .with("field", "slug")
    .into()
}

fn organisation(row: org::Model, role: Option<String>) -> Result<Organisation> {
    let joining = Joining::read(&row)?;
    let org::Model {
        id,
        slug,
        name,
        is_personal,
        plan,
        join_policy: _,
        join_domains: _,
        join_role_id: _,
        require_mfa,
        realm_enabled,
        metadata,
        created_at,
        updated_at,
        deleted_at: _,
    } = row;
    let broken = || Error::internal(format!("organisation {id} is stored wrongly"));
    Ok(Organisation {
        id,
        slug,
        name,
        role,
        is_personal,
        plan,
        joining,
        require_mfa,
        realm_enabled,
        metadata: serde_json::from_str(&metadata).map_err(|_| broken())?,
        created_at,
        updated_at,
    })
}

/// Makes an organisation that the caller owns.
///
/// # Errors
/// `invalid_field`, `slug_taken`; `forbidden` for anybody but a person.
pub async fn create(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    name: &str,
    slug: Option<&str>,
) -> Result<Organisation> {
    let user = caller.user()?;
    crate::access::grant::require_unbound(caller)?;
    let name = text::name("name", name)?;
    let slug = match slug {
        Some(slug) => Slug::Chosen(text::slug("slug", slug)?),
        None => Slug::Derived(
            text::slug_from(&name)
                .ok_or_else(|| Problem::field("slug", "required", "cannot be made from the name; send one"))?,
        ),
    };
    let made = insert(tx, keys, Principal::User(user), name, slug, false).await?;
    let entry = Entry::in_org(made.id, Action::OrgCreated, Target::Org(made.id))
        .with("name", made.name.clone())
        .with("slug", made.slug.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(made)
}

/// Makes the personal organisation of a new account; the registration journals it.
///
/// # Errors
/// [`Error::Db`].
pub async fn insert_personal(tx: &WriteTx, keys: &KeyStore, owner: Principal, email: &Email) -> Result<Organisation> {
    let local = email.display.split('@').next().unwrap_or_default();
    let slug = Slug::Derived(text::slug_from(local).unwrap_or_else(|| "personal".to_owned()));
    insert(tx, keys, owner, format!("{local}'s organisation"), slug, true).await
}

/// Where an organisation's slug comes from.
enum Slug {
    /// It is this one or none.
    Chosen(String),
    /// Made from a name: when it is taken, a few random letters are appended.
    Derived(String),
}

async fn insert(
    tx: &WriteTx,
    keys: &KeyStore,
    owner: Principal,
    name: String,
    slug: Slug,
    is_personal: bool,
) -> Result<Organisation> {
    let id: OrgId = tx.new_id()?;
    let row = |slug: String| org::ActiveModel {
        id: Set(id),
        slug: Set(slug),
        name: Set(name),
        is_personal: Set(is_personal),
        plan: Set(tx.billing().first_plan.as_str().to_owned()),
        join_policy: Set(JoinPolicy::Closed.as_str().to_owned()),
        join_domains: Set("[]".to_owned()),
        join_role_id: Set(None),
        require_mfa: Set(false),
        realm_enabled: Set(false),
        metadata: Set("{}".to_owned()),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        deleted_at: Set(None),
    };
    insert_row(tx, slug, row).await?;
    let ownership = NewMembership {
        scope: Scope { org: id, project: None },
        subject: owner,
        role: BuiltinRole::ORG_OWNER.id,
        env_classes: None,
        expires_at: None,
        granted_by: Some(owner),
    };
    membership::insert(tx, ownership).await?;
    keys.create(tx, KeyScope::Org(id), &[KeyPurpose::Data]).await?;
    load(tx, id, Some(BuiltinRole::ORG_OWNER.name)).await
}

/// The index decides who has a slug, also between two that want it at once.
async fn insert_row(tx: &WriteTx, slug: Slug, row: impl FnOnce(String) -> org::ActiveModel + Clone) -> Result<()> {
    let candidates = match slug {
        Slug::Chosen(slug) => vec![slug],
        Slug::Derived(base) => {
            let suffixed = text::with_suffix(&base, tx.rng())?;
            vec![base, suffixed]
        }
    };
    for slug in candidates {
        let insert = org::Entity::insert(row.clone()(slug))
            .on_conflict(OnConflict::column(org::Column::Slug).do_nothing().to_owned());
        if insert.exec_without_returning(tx.conn()).await? == 1 {
            return Ok(());
        }
    }
    Err(slug_taken())
}

/// Two of one slug at once: the index decides, the loser is told like any other.
pub(super) fn unique_slug(error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => slug_taken(),
        _ => Error::Db(error),
    }
}

/// # Errors
/// [`Error::Db`].
pub async fn get(from: &impl Reads, access: &OrgAccess<OrgRead>) -> Result<Organisation> {
    load(from, access.org.id, access.role()).await
}

pub(super) async fn load(from: &impl Reads, id: OrgId, role: Option<&str>) -> Result<Organisation> {
    let row = org::Entity::find_by_id(id)
        .one(from.conn())
        .await?
        .ok_or_else(Problem::not_found)?;
    organisation(row, role.map(str::to_owned))
}

/// What an organisation is called, for mails to its people; `None` when it is gone.
///
/// # Errors
/// [`Error::Db`].
pub async fn name_of(from: &impl Reads, id: OrgId) -> Result<Option<String>> {
    let row = org::Entity::find_by_id(id).one(from.conn()).await?;
    Ok(row.map(|row| row.name))
}

#[derive(FromQueryResult)]
struct Listed {
    #[sea_orm(nested)]
    org: org::Model,
    role_id: Option<RoleId>,
    project_id: Option<ProjectId>,
    role_name: Option<String>,
}

/// The organisations that the caller belongs to, by name; a superuser who is signed in sees those of everybody. A token
/// bound to one organisation sees that one.
///
/// # Errors
/// `forbidden` for anybody but a person.
pub async fn list(from: &impl Reads, caller: &Caller, page: PageRequest) -> Result<Page<Organisation>> {
    let user: UserId = caller.person()?;
    crate::access::grant::require_scope(caller, crate::access::Permission::OrgRead)?;
    if caller.is_superuser && caller.session_user().is_ok() {
        return of_everybody(from, user, page).await;
    }
    let bound = caller.actor.ceiling.org;
    let sql = "SELECT o.*, m.role_id, m.project_id, r.name AS role_name
        FROM orgs o JOIN memberships m ON m.org_id = o.id LEFT JOIN roles r ON r.id = m.role_id
        WHERE m.subject_id = $1 AND m.subject_type = 'user' AND o.deleted_at IS NULL
          AND (m.expires_at IS NULL OR m.expires_at > $2)
          AND (r.id IS NULL OR r.audience = 'platform')
        ORDER BY o.name, o.id, m.project_id IS NOT NULL, m.role_id";
    let rows = Listed::find_by_statement(from.sql(sql, [user.into(), from.now().into()]))
        .all(from.conn())
        .await?;
    let rows = rows
        .into_iter()
        .filter(|row| bound.is_none_or(|bound| bound == row.org.id));
    Ok(Page::of(merged(rows)?, page))
}

/// A page of all organisations, with the role of `user` in those that they belong to.
async fn of_everybody(from: &impl Reads, user: UserId, page: PageRequest) -> Result<Page<Organisation>> {
    let sql = "SELECT o.*, m.role_id, CAST(NULL AS uuid) AS project_id, r.name AS role_name
        FROM (SELECT * FROM orgs WHERE deleted_at IS NULL ORDER BY name, id LIMIT $3 OFFSET $4) o
        LEFT JOIN memberships m ON m.org_id = o.id AND m.scope_id = o.id AND m.subject_id = $1
            AND m.subject_type = 'user' AND (m.expires_at IS NULL OR m.expires_at > $2)
        LEFT JOIN roles r ON r.id = m.role_id
        ORDER BY o.name, o.id, m.role_id";
    let (limit, offset) = (page.limit.cast_signed(), page.offset.cast_signed());
    let values = [user.into(), from.now().into(), limit.into(), offset.into()];
    let rows = Listed::find_by_statement(from.sql(sql, values))
        .all(from.conn())
        .await?;
    let total = org::Entity::find()
        .filter(org::Column::DeletedAt.is_null())
        .count(from.conn())
        .await?;
    Ok(Page {
        data: merged(rows)?,
        request: page,
        total,
    })
}

/// One entry for each organisation, with the first of the roles that stand behind it.
fn merged(rows: impl IntoIterator<Item = Listed>) -> Result<Vec<Organisation>> {
    let mut all: Vec<Organisation> = Vec::new();
    for Listed {
        org,
        role_id,
        project_id,
        role_name,
    } in rows
    {
        if all.last().is_some_and(|last| last.id == org.id) {
            continue;
        }
        let builtin = role_id.and_then(BuiltinRole::by_id).map(|role| role.name.to_owned());
        let role = if project_id.is_some() {
            None
        } else {
            builtin.or(role_name)
        };
        all.push(organisation(org, role)?);
    }
    Ok(all)
}

/// Deletes an organisation: from now on it answers as if it were absent. It can be restored for 30 days.
///
/// # Errors
/// `step_up_required` when the sign-in is older than ten minutes; `session_required` for an API token.
pub async fn delete(tx: &WriteTx, caller: &Caller, access: &OrgAccess<OrgDelete>) -> Result<()> {
    crate::access::grant::require_recent_sign_in(tx, caller)?;
    set_deleted(tx, access.org.id, Some(tx.now())).await?;
    let entry = Entry::in_org(access.org.id, Action::OrgDeleted, Target::Org(access.org.id));
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// Brings a deleted organisation back, with everything in it.
///
/// # Errors
/// `not_found` after 30 days.
pub async fn restore(tx: &WriteTx, caller: &Caller, access: &OrgAccess<OrgDelete>) -> Result<Organisation> {
    caller.session_user()?;
    let row = org::Entity::find_by_id(access.org.id)
        .one(tx.conn())
        .await?
        .ok_or_else(Problem::not_found)?;
    if row.deleted_at.is_none_or(|at| tx.now().since(at) > RESTORE_WINDOW) {
        return Err(Problem::not_found().into());
    }
    set_deleted(tx, access.org.id, None).await?;
    let entry = Entry::in_org(access.org.id, Action::OrgRestored, Target::Org(access.org.id));
    journal::record(tx, &caller.origin, entry).await?;
    load(tx, access.org.id, access.role()).await
}

/// Deletes an organisation together with the account of its only owner, who is alone in it; the caller journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn delete_with_owner(tx: &WriteTx, id: OrgId) -> Result<()> {
    set_deleted(tx, id, Some(tx.now())).await
}

async fn set_deleted(tx: &WriteTx, id: OrgId, at: Option<Timestamp>) -> Result<()> {
    let sql = "UPDATE orgs SET deleted_at = $2, updated_at = $3 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [id.into(), at.into(), tx.now().into()]))
        .await?;
    // Whoever is gone is not charged any more.
    customer::ask_for_sync(tx, id).await
}
