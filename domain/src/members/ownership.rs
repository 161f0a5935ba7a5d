//! Every organisation keeps an owner: a person whose account is in order and whose role does not end by itself. Owners
//! of an organisation own its projects too, so a project always has one as well.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::assignment::Assignment;
use super::place::{self, Place};
use super::{membership, subject};
use crate::access::grant::{self, OrgDelete, ProjectsDelete};
use crate::access::{BuiltinRole, Caller, Principal};
use crate::journal::{self, Action, Entry};
use crate::kernel::db::Backend;
use crate::kernel::id::{OrgId, UserId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx};
use crate::policy::assignable::AssignableRole;

#[derive(FromQueryResult)]
struct Owner {
    id: UserId,
}

/// Takes the organisation's row until the transaction ends: of two changes that would each leave one owner, the second
/// sees what the first did. Returns whether it may have waited; SQLite has one writer at a time anyway.
///
/// # Errors
/// [`Error::Db`].
pub async fn lock(tx: &WriteTx, org: OrgId) -> Result<bool> {
    match tx.backend() {
        Backend::Sqlite => Ok(false),
        Backend::Postgres => {
            // Leaves the row open to foreign keys: secrets can be written meanwhile.
            let sql = "SELECT id FROM orgs WHERE id = $1 FOR NO KEY UPDATE";
            tx.conn().execute_raw(tx.sql(sql, [org.into()])).await?;
            Ok(true)
        }
    }
}

/// The owners of an organisation whose accounts are in order and whose roles do not end by themselves.
///
/// # Errors
/// [`Error::Db`].
pub async fn owners(from: &impl Reads, org: OrgId) -> Result<Vec<UserId>> {
    let sql = "SELECT u.id FROM memberships m JOIN users u ON u.id = m.subject_id AND u.disabled_at IS NULL
        WHERE m.scope_id = $1 AND m.subject_type = 'user' AND m.role_id = $2 AND m.expires_at IS NULL";
    let values = [org.into(), BuiltinRole::ORG_OWNER.id.into()];
    let rows = Owner::find_by_statement(from.sql(sql, values)).all(from.conn()).await?;
    Ok(rows.into_iter().map(|owner| owner.id).collect())
}

/// Holds when the organisation has an owner without this one. Take [`lock`] first.
///
/// # Errors
/// `last_owner`.
pub async fn require_other_owner(from: &impl Reads, org: OrgId, user: UserId) -> Result<()> {
    if owners(from, org).await? == [user] {
        let detail = "The organisation would be left without an owner. Make somebody else an owner first.";
        return Err(Problem::new(ProblemCode::LastOwner, detail).into());
    }
    Ok(())
}

/// An organisation that has one owner.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct SoleOwnership {
    pub org: OrgId,
    pub slug: String,
    /// Whether other people are in it, or in one of its projects.
    pub has_other_members: bool,
}

/// The live organisations whose only owner is this person: what stands in the way of deleting the account.
///
/// # Errors
/// [`Error::Db`].
pub async fn sole_ownerships(from: &impl Reads, user: UserId) -> Result<Vec<SoleOwnership>> {
    let sql = "SELECT o.id AS org, o.slug, EXISTS (
            SELECT 1 FROM memberships x WHERE x.org_id = o.id AND x.subject_type = 'user' AND x.subject_id <> $1
              AND (x.expires_at IS NULL OR x.expires_at > $3)) AS has_other_members
        FROM orgs o JOIN memberships m ON m.scope_id = o.id AND m.role_id = $2 AND m.expires_at IS NULL
        WHERE m.subject_id = $1 AND m.subject_type = 'user' AND o.deleted_at IS NULL AND NOT EXISTS (
            SELECT 1 FROM memberships y JOIN users u ON u.id = y.subject_id AND u.disabled_at IS NULL
            WHERE y.scope_id = o.id AND y.subject_type = 'user' AND y.role_id = $2 AND y.expires_at IS NULL
              AND y.subject_id <> $1)
        ORDER BY o.slug";
    let values = [user.into(), BuiltinRole::ORG_OWNER.id.into(), from.now().into()];
    Ok(SoleOwnership::find_by_statement(from.sql(sql, values))
        .all(from.conn())
        .await?)
}

/// Hands an organisation over: the member becomes an owner for good, the caller an admin.
///
/// # Errors
/// `step_up_required`, `session_required`; `invalid_field` naming `member`; `forbidden` for who does not hold all
/// that an owner holds.
pub async fn transfer_org(
    tx: &WriteTx,
    caller: &Caller,
    access: grant::OrgAccess<OrgDelete>,
    member: &str,
) -> Result<Principal> {
    let roles = [&BuiltinRole::ORG_OWNER, &BuiltinRole::ORG_ADMIN];
    transfer(tx, caller, access, member, roles, Action::OrgOwnershipTransferred).await
}

/// Hands a project over: the member becomes an owner for good, the caller an admin if it was an owner of the project.
///
/// # Errors
/// Like [`transfer_org`].
pub async fn transfer_project(
    tx: &WriteTx,
    caller: &Caller,
    access: grant::ProjectAccess<ProjectsDelete>,
    member: &str,
) -> Result<Principal> {
    let roles = [&BuiltinRole::PROJECT_OWNER, &BuiltinRole::PROJECT_ADMIN];
    transfer(tx, caller, access, member, roles, Action::ProjectOwnershipTransferred).await
}

async fn transfer<P: Place>(
    tx: &WriteTx,
    caller: &Caller,
    place: P,
    member: &str,
    [owner, admin]: [&BuiltinRole; 2],
    action: Action,
) -> Result<Principal> {
    grant::require_recent_sign_in(tx, caller)?;
    let from = caller.session_user()?;
    let place = place::locked(tx, caller, place).await?;
    let scope = place.scope();
    let owning = Assignment::plain(AssignableRole::from(owner));
    owning.require_may_give(tx, caller, &place)?;
    let to = heir(tx, scope, from, member).await?;
    let (from, to) = (Principal::User(from), Principal::User(to));
    membership::put(tx, scope, to, &owning, from).await?;
    let mine = membership::held(tx, scope.org, from).await?;
    if mine
        .iter()
        .any(|held| held.at == scope.project && held.role.id == owner.id)
    {
        let below = Assignment::plain(AssignableRole::from(admin));
        membership::put(tx, scope, from, &below, from).await?;
        membership::remove_role(tx, scope, from, owner.id).await?;
    }
    let entry = Entry {
        project: scope.project,
        ..Entry::in_org(scope.org, action, subject::target(to))
    };
    journal::record(tx, &caller.origin, entry).await?;
    Ok(to)
}

/// The person who is to be the owner: somebody else, who is a member here, with an account in order.
async fn heir(tx: &WriteTx, scope: membership::Scope, from: UserId, member: &str) -> Result<UserId> {
    let wrong = |reason, message| -> Error { Problem::field("member", reason, message).into() };
    let no_member = || wrong("unknown", "is no member here; add them first");
    let to = match subject::parse(member) {
        Some(Principal::User(user)) => user,
        Some(Principal::ServiceAccount(_)) => return Err(wrong("conflict", "must be a person")),
        None => return Err(wrong("format", "must be the id of a member: usr_…")),
    };
    if to == from {
        return Err(wrong("conflict", "is you; name somebody else"));
    }
    let held = membership::held(tx, scope.org, Principal::User(to)).await?;
    if !held.iter().any(|held| held.at == scope.project) || !subject::is_active(tx, to).await? {
        return Err(no_member());
    }
    Ok(to)
}
