//! Making, changing and deleting an organisation's own roles.

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait};

use super::entity::role;
use super::role::{Audience, Role, find, get, own, role};
use super::{access_rule, lock, permissions};
use crate::access::facts::{Effect, Subject};
use crate::access::grant::RolesManage;
use crate::access::role::RoleLevel;
use crate::access::{Caller, OrgAccess};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::RoleId;
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx, text};
use crate::members::membership;

/// Roles of an organisation's own at most.
const MAX_ROLES: u64 = 200;

/// What a new role is to be.
pub struct NewRole {
    pub name: String,
    /// `None` = as the name.
    pub display_name: Option<String>,
    pub level: RoleLevel,
    pub audience: Audience,
    pub permissions: Vec<String>,
}

/// # Errors
/// `invalid_field`; `conflict` when the name is taken; `forbidden` when it would grant what the caller does not hold.
pub async fn create(tx: &WriteTx, caller: &Caller, access: &OrgAccess<RolesManage>, new: NewRole) -> Result<Role> {
    let NewRole {
        name,
        display_name,
        level,
        audience,
        permissions,
    } = new;
    let name = text::slug("name", &name)?;
    let display_name = text::name("display_name", display_name.as_deref().unwrap_or(&name))?;
    let permissions = checked(access, audience, level, &permissions)?;
    lock(tx, access.org.id).await?;
    if own(access.org.id).count(tx.conn()).await? >= MAX_ROLES {
        let detail = format!("An organisation has at most {MAX_ROLES} roles of its own. Delete one first.");
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    require_free_name(tx, access, &name, level, None).await?;
    let row = role::ActiveModel {
        id: Set(tx.new_id()?),
        org_id: Set(access.org.id),
        level: Set(level.as_str().to_owned()),
        audience: Set(audience.as_str().to_owned()),
        name: Set(name),
        display_name: Set(display_name),
        permissions: Set(json(&permissions)?),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
    };
    let made = role(role::Entity::insert(row).exec_with_returning(tx.conn()).await?)?;
    let entry = entry(access, Action::RoleCreated, &made).with("permissions", made.permissions.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(made)
}

fn entry(access: &OrgAccess<RolesManage>, action: Action, role: &Role) -> Entry {
    Entry::in_org(access.org.id, action, Target::Role(role.id))
        .with("name", role.name.clone())
        .with("level", role.level.as_str())
        .with("audience", role.audience.as_str())
}

fn json(permissions: &[String]) -> Result<String> {
    serde_json::to_string(permissions).map_err(|e| Error::internal(format!("role columns: {e}")))
}

/// The list as it is stored. Nobody makes a role of this platform that grants what they do not hold.
fn checked(
    access: &OrgAccess<RolesManage>,
    audience: Audience,
    level: RoleLevel,
    list: &[String],
) -> Result<Vec<String>> {
    match audience {
        Audience::App => permissions::of_app(list),
        Audience::Platform => {
            let grants = permissions::of_role(list, level)?;
            access.require_holds(&grants)?;
            Ok(grants.to_list())
        }
    }
}

async fn require_free_name(
    tx: &WriteTx,
    access: &OrgAccess<RolesManage>,
    name: &str,
    level: RoleLevel,
    but: Option<RoleId>,
) -> Result<()> {
    let taken = find(tx, access.org.id, name, level).await?;
    if taken.is_none_or(|other| Some(other.id) == but) {
        return Ok(());
    }
    let detail = "Another role of this level has this name. Choose another.";
    Err(Problem::new(ProblemCode::Conflict, detail).with("field", "name").into())
}

/// A role that the caller may change or delete: one of the organisation's own, which grants nothing that the caller
/// does not hold.
async fn changeable(tx: &WriteTx, access: &OrgAccess<RolesManage>, name: &str, level: RoleLevel) -> Result<Role> {
    lock(tx, access.org.id).await?;
    let found = get(tx, access, name, level).await?;
    if found.is_builtin {
        let detail = "This role comes with the product and cannot change or go. Make one of your own instead.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    access.require_holds(&found.grants()?)?;
    Ok(found)
}

/// Changes to a role; absent fields stay.
#[derive(Default)]
pub struct RolePatch {
    pub name: Option<String>,
    pub display_name: Option<String>,
    pub permissions: Option<Vec<String>>,
}

/// Changes a role for everybody who holds it, from the next request on.
///
/// # Errors
/// `not_found`, `invalid_field`; `conflict` for a built-in role or a taken name; `forbidden` when it grants or would
/// grant what the caller does not hold.
pub async fn update(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<RolesManage>,
    name: &str,
    level: RoleLevel,
    patch: RolePatch,
) -> Result<Role> {
    let before = changeable(tx, access, name, level).await?;
    let RolePatch {
        name,
        display_name,
        permissions,
    } = patch;
    let mut changed = Vec::new();
    let mut row = role::ActiveModel {
        id: Set(before.id),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    if let Some(name) = name {
        let name = text::slug("name", &name)?;
        require_free_name(tx, access, &name, before.level, Some(before.id)).await?;
        row.name = Set(name);
        changed.push("name");
    }
    if let Some(display_name) = display_name {
        row.display_name = Set(text::name("display_name", &display_name)?);
        changed.push("display_name");
    }
    if let Some(permissions) = permissions {
        row.permissions = Set(json(&checked(access, before.audience, before.level, &permissions)?)?);
        changed.push("permissions");
    }
    let updated = role(role::Entity::update(row).exec(tx.conn()).await?)?;
    let entry = entry(access, Action::RoleUpdated, &updated)
        .with("changed", changed)
        .with("permissions", updated.permissions.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(updated)
}

/// What would lose a role with its deletion.
#[derive(Clone, Copy, Debug, FromQueryResult)]
struct Usage {
    /// People, service accounts and users of the realm that hold it.
    holders: i64,
    /// Invitations that would give it.
    invites: i64,
    /// Organisation and projects that give it to whoever joins.
    joins: i64,
}

async fn usage(tx: &WriteTx, role: RoleId) -> Result<Usage> {
    let sql = "SELECT (SELECT COUNT(DISTINCT subject_id) FROM memberships WHERE role_id = $1)
                + (SELECT COUNT(*) FROM realm_user_roles WHERE role_id = $1) AS holders,
            (SELECT COUNT(*) FROM invites
             WHERE role_id = $1 AND revoked_at IS NULL AND uses < max_uses AND expires_at > $2) AS invites,
            (SELECT COUNT(*) FROM orgs WHERE join_role_id = $1)
                + (SELECT COUNT(*) FROM projects WHERE join_role_id = $1) AS joins";
    let found = Usage::find_by_statement(tx.sql(sql, [role.into(), tx.now().into()]))
        .one(tx.conn())
        .await?;
    found.ok_or_else(|| Error::internal("a count without a row"))
}

fn in_use(usage: Usage) -> Problem {
    let Usage {
        holders,
        invites,
        joins,
    } = usage;
    let detail = format!(
        "{holders} people, service accounts or users of the realm hold this role, {invites} invitations and {joins} join policies give it. \
         Give them another, or repeat with `force=true` to take it from all of them."
    );
    Problem::new(ProblemCode::InUse, detail)
        .with("held_by", holders)
        .with("invites", invites)
        .with("join_policies", joins)
}

/// Deletes a role, and the rules about it. One that is in use goes only by `force`: from all who hold it, from the
/// invitations, which are revoked, and from the join policies, which fall back to their default.
///
/// # Errors
/// `not_found`; `conflict` for a built-in role; `in_use`; `forbidden` when it grants what the caller does not hold, or
/// when a rule denies it what the caller cannot give back.
pub async fn delete(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<RolesManage>,
    name: &str,
    level: RoleLevel,
    force: bool,
) -> Result<()> {
    let found = changeable(tx, access, name, level).await?;
    let usage = usage(tx, found.id).await?;
    let Usage {
        holders,
        invites,
        joins,
    } = usage;
    if !force && (holders, invites, joins) != (0, 0, 0) {
        return Err(in_use(usage).into());
    }
    let subject = Subject::Role(found.id);
    for denial in access_rule::of_subject(tx, access.org.id, subject).await? {
        if denial.effect == Effect::Deny && denial.is_live(tx.now()) {
            access.require_lift(subject, &denial.grants)?;
        }
    }
    membership::delete_of_role(tx, found.id).await?;
    let rules = access_rule::delete_of_subject(tx, access.org.id, subject).await?;
    for sql in [
        "UPDATE invites SET revoked_at = $2, updated_at = $2 WHERE role_id = $1 AND revoked_at IS NULL",
        "UPDATE orgs SET join_role_id = NULL WHERE join_role_id = $1 AND $2 > 0",
        "UPDATE projects SET join_role_id = NULL WHERE join_role_id = $1 AND $2 > 0",
    ] {
        tx.conn()
            .execute_raw(tx.sql(sql, [found.id.into(), tx.now().into()]))
            .await?;
    }
    role::Entity::delete_by_id(found.id).exec(tx.conn()).await?;
    let entry = entry(access, Action::RoleDeleted, &found)
        .with("held_by", holders)
        .with("invites", invites)
        .with("rules", rules);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}
