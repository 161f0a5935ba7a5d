//! Deleting an account: one's own, or as a superuser.

use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult};

use super::entity::user;
use super::superusers;
use crate::access::Caller;
use crate::access::grant::require_recent_sign_in;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OrgId, UserId};
use crate::kernel::{Problem, ProblemCode, Reads, Result, WriteTx};
use crate::members::membership;
use crate::members::ownership::{self, SoleOwnership};
use crate::oauth::client_change;
use crate::orgs::organisation;

/// What stands in the way of somebody who deletes their own account.
const OWNS: &str =
    "You are the only owner of organisations that others are in. Make somebody else an owner, or delete them.";
const LAST: &str = "You are the only administrator of this instance. Make somebody else one first.";

/// Deletes the caller's account with everything that is theirs alone: addresses, second factors, mails, credentials,
/// roles, and the organisations in which nobody else is. The journal keeps its ids.
///
/// # Errors
/// `step_up_required`, `session_required`; `last_owner` naming the organisations that others would be left in without an
/// owner; `conflict` for the only administrator of the instance.
pub async fn delete(tx: &WriteTx, caller: &Caller) -> Result<()> {
    require_recent_sign_in(tx, caller)?;
    let user = caller.session_user()?;
    superusers::lock(tx).await?;
    superusers::require_other(tx, user, LAST).await?;
    let gone = delete_account(tx, user, OWNS).await?;
    journal::record(tx, &caller.origin, entry(user, &gone)).await?;
    Ok(())
}

/// The event, with the organisations that went with the account.
pub fn entry(user: UserId, deleted_orgs: &[OrgId]) -> Entry {
    let orgs: Vec<_> = deleted_orgs.iter().map(ToString::to_string).collect();
    Entry::of_account(user, Action::UserDeleted, Target::User(user)).with("deleted_orgs", orgs)
}

/// Deletes an account, and the organisations in which nobody else is; those are returned. Whoever calls has taken the lock
/// of [`superusers`], checked that it may be, and journals.
///
/// # Errors
/// `last_owner` with this text, naming the organisations that others would be left in without an owner.
pub async fn delete_account(tx: &WriteTx, user: UserId, detail: &'static str) -> Result<Vec<OrgId>> {
    let alone = ownerships(tx, user, detail).await?;
    for org in &alone {
        organisation::delete_with_owner(tx, org.org).await?;
    }
    membership::remove_all_of_user(tx, user).await?;
    client_change::end_of_owner(tx, user).await?;
    let sql = "UPDATE credentials SET revoked_at = $2 WHERE principal_id = $1 AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [user.into(), tx.now().into()]))
        .await?;
    user::Entity::delete_by_id(user).exec(tx.conn()).await?;
    Ok(alone.into_iter().map(|org| org.org).collect())
}

/// The organisations that go with the account. The rows of all of the person's are taken first: of two owners who go at
/// once, the second sees that the first is gone.
async fn ownerships(tx: &WriteTx, user: UserId, detail: &'static str) -> Result<Vec<SoleOwnership>> {
    let sql = "SELECT DISTINCT org_id FROM memberships WHERE subject_id = $1 AND subject_type = 'user' ORDER BY org_id";
    let mine = Mine::find_by_statement(tx.sql(sql, [user.into()]))
        .all(tx.conn())
        .await?;
    for Mine { org_id } in mine {
        ownership::lock(tx, org_id).await?;
    }
    let owned = ownership::sole_ownerships(tx, user).await?;
    let (shared, alone): (Vec<_>, Vec<_>) = owned.into_iter().partition(|org| org.has_other_members);
    if shared.is_empty() {
        return Ok(alone);
    }
    let slugs: Vec<_> = shared.into_iter().map(|org| org.slug).collect();
    Err(Problem::new(ProblemCode::LastOwner, detail)
        .with("organisations", slugs)
        .into())
}

#[derive(FromQueryResult)]
struct Mine {
    org_id: OrgId,
}
