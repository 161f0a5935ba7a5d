//! Roles of the application, as users of its realm and service accounts hold them, and what their permissions cover.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use uuid::Uuid;

use super::user::{self, RealmUser};
use crate::access::grant::UsersManage;
use crate::access::role::RoleLevel;
use crate::access::{Caller, OrgAccess, Principal};
use crate::auth::realm_token::Holder;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OrgId, RealmUserId, RoleId, ServiceAccountId, UserId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx};
use crate::members::membership::subject_columns;
use crate::policy::assignable::{self, AssignableRole};

/// Roles of one user at most: their names stand in its tokens.
const MAX_ROLES: usize = 20;

/// A role of the application that somebody holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRole {
    pub id: RoleId,
    pub name: String,
    pub permissions: Vec<String>,
}

#[derive(FromQueryResult)]
struct Row {
    id: RoleId,
    name: String,
    permissions: String,
}

const OF_USER: &str = "SELECT r.id, r.name, r.permissions FROM realm_user_roles h JOIN roles r ON r.id = h.role_id
    WHERE h.user_id = $1 AND r.org_id = $2 AND r.audience = 'app' ORDER BY r.name, r.id";

/// In the whole organisation: an application knows nothing of projects.
const OF_MEMBER: &str = "SELECT r.id, r.name, r.permissions FROM memberships m JOIN roles r ON r.id = m.role_id
    WHERE m.subject_id = $1 AND m.org_id = $2 AND m.project_id IS NULL AND r.audience = 'app'
      AND m.subject_type = $3 AND (m.expires_at IS NULL OR m.expires_at > $4) ORDER BY r.name, r.id";

/// Somebody who can hold roles of an application: of a realm, or of the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    RealmUser(RealmUserId),
    User(UserId),
    ServiceAccount(ServiceAccountId),
}

impl From<Holder> for Subject {
    fn from(holder: Holder) -> Self {
        match holder {
            Holder::User(id) => Self::RealmUser(id),
            Holder::ServiceAccount(id) => Self::ServiceAccount(id),
        }
    }
}

impl From<Principal> for Subject {
    fn from(principal: Principal) -> Self {
        match principal {
            Principal::User(id) => Self::User(id),
            Principal::ServiceAccount(id) => Self::ServiceAccount(id),
        }
    }
}

/// What somebody holds now of an organisation's application, by name.
///
/// # Errors
/// [`Error::Db`].
pub async fn held(from: &impl Reads, org: OrgId, who: Subject) -> Result<Vec<AppRole>> {
    let member = |principal: Principal| {
        let (kind, id) = subject_columns(principal);
        let values: Vec<Value> = vec![id.into(), org.into(), kind.into(), from.now().into()];
        from.sql(OF_MEMBER, values)
    };
    let statement = match who {
        Subject::RealmUser(id) => from.sql(OF_USER, [id.into(), org.into()]),
        Subject::User(id) => member(Principal::User(id)),
        Subject::ServiceAccount(id) => member(Principal::ServiceAccount(id)),
    };
    let rows = Row::find_by_statement(statement).all(from.conn()).await?;
    let role = |row: Row| {
        let Row { id, name, permissions } = row;
        let permissions = serde_json::from_str(&permissions);
        Ok(AppRole {
            id,
            name,
            permissions: permissions.map_err(|_| Error::internal(format!("role {id} is stored wrongly")))?,
        })
    };
    rows.into_iter().map(role).collect()
}

/// What several roles grant, each once, in order.
pub fn permissions(roles: &[AppRole]) -> Vec<String> {
    let all: BTreeSet<_> = roles.iter().flat_map(|role| role.permissions.iter().cloned()).collect();
    all.into_iter().collect()
}

/// Whether a permission of a role covers what is asked: the very same, or part by part with `*` for any one part.
/// `comments:*` covers `comments:write`, and neither `comments` nor `comments:write:own`.
pub fn covers(granted: &str, asked: &str) -> bool {
    let mut asked = asked.split(':');
    let same = granted
        .split(':')
        .all(|part| asked.next().is_some_and(|wanted| part == "*" || part == wanted));
    same && asked.next().is_none()
}

#[derive(FromQueryResult)]
struct Named {
    user_id: RealmUserId,
    name: String,
}

/// The names of the roles of some users, in their order.
pub(super) async fn names_of(from: &impl Reads, users: &[RealmUserId]) -> Result<HashMap<RealmUserId, Vec<String>>> {
    let mut names: HashMap<RealmUserId, Vec<String>> = HashMap::new();
    if users.is_empty() {
        return Ok(names);
    }
    let is_one = is_one_of(from.backend(), "h.user_id", "$1");
    let sql = format!(
        "SELECT h.user_id, r.name FROM realm_user_roles h JOIN roles r ON r.id = h.role_id
         WHERE {is_one} ORDER BY r.name, r.id"
    );
    let ids = id_param(users.iter().map(|user| user.0));
    for Named { user_id, name } in Named::find_by_statement(from.sql(&sql, [ids])).all(from.conn()).await? {
        names.entry(user_id).or_default().push(name);
    }
    Ok(names)
}

/// A role of the application, as a request names it in `role`.
///
/// # Errors
/// `invalid_field`.
pub(super) async fn named(from: &impl Reads, org: OrgId, reference: &str) -> Result<AssignableRole> {
    let found = assignable::find(from, org, RoleLevel::Org, reference).await?;
    let message = "is no role of your application: one of the organisation's with `audience: app`";
    Ok(found
        .filter(|role| role.is_app)
        .ok_or_else(|| Problem::field("role", "unknown", message))?)
}

/// Stores that a user holds a role; tells whether it did not before. The user is locked, and the caller journals.
pub(super) async fn put(tx: &WriteTx, user: RealmUserId, role: RoleId, by: Uuid) -> Result<bool> {
    let sql = "INSERT INTO realm_user_roles (user_id, role_id, granted_by, created_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (user_id, role_id) DO NOTHING";
    let values = [user.into(), role.into(), by.into(), tx.now().into()];
    let put = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(put.rows_affected() == 1)
}

/// Gives a user a role of the application. Tells whether it did not hold it before.
///
/// # Errors
/// `not_found`; `invalid_field`; `conflict` at twenty roles.
pub async fn add(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<UsersManage>,
    id: &str,
    role: &str,
) -> Result<(RealmUser, bool)> {
    let (org, user) = (access.org.id, locked(tx, access, id).await?);
    let role = named(tx, org, role).await?;
    let held = held(tx, org, Subject::RealmUser(user)).await?;
    if held.len() >= MAX_ROLES && !held.iter().any(|one| one.id == role.id) {
        let detail = format!("A user holds at most {MAX_ROLES} roles. Take one away first.");
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let is_new = put(tx, user, role.id, subject_columns(caller.actor.principal).1).await?;
    if is_new {
        let entry = Entry::in_org(org, Action::RealmUserRoleAdded, Target::RealmUser(user)).with("role", role.name);
        journal::record(tx, &caller.origin, entry).await?;
    }
    Ok((user::load(tx, org, user).await?, is_new))
}

/// Takes a role from a user. It counts for nothing from the next question on, whatever its tokens say.
///
/// # Errors
/// `not_found`.
pub async fn remove(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<UsersManage>,
    id: &str,
    role: &str,
) -> Result<()> {
    let (org, user) = (access.org.id, locked(tx, access, id).await?);
    let found = assignable::find(tx, org, RoleLevel::Org, role).await?;
    let role = found.ok_or_else(Problem::not_found)?;
    let sql = "DELETE FROM realm_user_roles WHERE user_id = $1 AND role_id = $2";
    let gone = tx
        .conn()
        .execute_raw(tx.sql(sql, [user.into(), role.id.into()]))
        .await?;
    if gone.rows_affected() == 0 {
        return Err(Problem::not_found().into());
    }
    let entry = Entry::in_org(org, Action::RealmUserRoleRemoved, Target::RealmUser(user)).with("role", role.name);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// The user that a path names, locked.
pub(super) async fn locked(tx: &WriteTx, access: &OrgAccess<UsersManage>, id: &str) -> Result<RealmUserId> {
    let id: RealmUserId = id.parse().map_err(|_| Problem::not_found())?;
    let found = user::lock(tx, access.org.id, id).await?;
    Ok(found.ok_or_else(Problem::not_found)?.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_part_and_no_more() {
        for (granted, asked, expected) in [
            ("comments:write", "comments:write", true),
            ("comments:write", "comments:read", false),
            ("comments:*", "comments:write", true),
            ("comments:*", "comments", false),
            ("comments:*", "comments:write:own", false),
            ("comments:*:own", "comments:write:own", true),
            ("comments:*:own", "comments:write:all", false),
            ("comments", "comments:write", false),
            ("comments:wr*", "comments:write", false),
            ("comments:write", "comments:*", false),
            ("comments:write", "", false),
        ] {
            assert_eq!(covers(granted, asked), expected, "{granted} {asked}");
        }
    }

    #[test]
    fn what_two_roles_grant_is_listed_once() {
        let role = |permissions: &[&str]| AppRole {
            id: RoleId(Uuid::nil()),
            name: "editor".to_owned(),
            permissions: permissions.iter().map(|&text| text.to_owned()).collect(),
        };
        let both = [role(&["b", "a"]), role(&["c", "a"])];
        assert_eq!(permissions(&both), ["a", "b", "c"]);
    }
}
