//! Who an address belongs to. One that nobody has proved is a claim: any account may make it, it opens nothing, and it
//! ends when somebody proves the address to be theirs.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, SqlErr};
use uuid::Uuid;

use super::account;
use super::entity::email;
use super::pending;
use crate::access::{ActorKind, Origin};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{EmailId, UserId};
use crate::kernel::{Backend, Error, Problem, ProblemCode, Reads, Result, WriteTx};
use crate::oauth::{client_change, grant};

/// The domain of addresses that stand in for lost ones. No mail goes there. Source: RFC 2606.
const NOWHERE: &str = "unclaimed.invalid";

/// The answer to an address that is somebody's.
pub(super) fn taken() -> Problem {
    Problem::new(
        ProblemCode::EmailTaken,
        "The address belongs to an account. Sign in, or reset the password.",
    )
}

/// Whether an address only stands in for one that was lost.
pub(super) fn is_nowhere(address: &str) -> bool {
    address.ends_with(NOWHERE)
}

/// Marks an address of an account as proved, and ends what others claim of it; the caller journals. Tells whether it
/// was not proved before.
///
/// # Errors
/// `email_taken` when somebody else proved it first.
pub(super) async fn prove(tx: &WriteTx, id: EmailId) -> Result<bool> {
    let row = email::Entity::find_by_id(id)
        .one(tx.conn())
        .await?
        .ok_or_else(Problem::not_found)?;
    if row.verified_at.is_some() {
        return Ok(false);
    }
    evict(tx, &row.canonical, row.user_id).await?;
    let sql = "UPDATE user_emails SET verified_at = $2 WHERE id = $1 AND verified_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [id.into(), tx.now().into()]))
        .await
        .map_err(unique)?;
    Ok(true)
}

/// Another account may have the address by now: the index decides, the loser is told.
pub(super) fn unique(error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => taken().into(),
        _ => Error::Db(error),
    }
}

/// Ends the claims of all accounts but one to an address. An account whose only address it was goes on without: its
/// person may sign in by username, or go on with a session, and add an address that is theirs.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn evict(tx: &WriteTx, canonical: &str, keep: UserId) -> Result<()> {
    let query = email::Entity::find()
        .filter(email::Column::RealmId.eq(Uuid::nil()))
        .filter(email::Column::Canonical.eq(canonical))
        .filter(email::Column::UserId.ne(keep))
        .filter(email::Column::VerifiedAt.is_null());
    let query = match tx.backend() {
        Backend::Postgres => sea_orm::QuerySelect::lock_exclusive(query),
        Backend::Sqlite => query,
    };
    for claim in query.all(tx.conn()).await? {
        if claim.is_primary {
            replace_default(tx, &claim).await?;
        } else {
            remove(tx, claim.id).await?;
        }
        let entry = Entry::of_account(claim.user_id, Action::UserEmailRemoved, Target::Email(claim.id));
        journal::record(tx, &system(), entry.with("reason", "proved_by_another_account")).await?;
    }
    Ok(())
}

async fn remove(tx: &WriteTx, id: EmailId) -> Result<()> {
    email::Entity::delete_by_id(id).exec(tx.conn()).await?;
    Ok(())
}

async fn replace_default(tx: &WriteTx, claim: &email::Model) -> Result<()> {
    let proved = email::Entity::find()
        .filter(email::Column::UserId.eq(claim.user_id))
        .filter(email::Column::VerifiedAt.is_not_null())
        .order_by_asc(email::Column::CreatedAt)
        .one(tx.conn())
        .await?;
    if let Some(proved) = proved {
        remove(tx, claim.id).await?;
        let sql = "UPDATE user_emails SET is_primary = TRUE WHERE id = $1";
        tx.conn().execute_raw(tx.sql(sql, [proved.id.into()])).await?;
        return Ok(());
    }
    let nowhere = format!("{}@{NOWHERE}", claim.id.0.simple());
    let sql = "UPDATE user_emails SET address = $2, canonical = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [claim.id.into(), nowhere.into()]))
        .await?;
    Ok(())
}

/// Ends whatever was set up on an account whose address nobody had proved, now that its owner does: password, tokens,
/// sessions, and other claims. Whoever made the account may have been somebody else, in wait for this very moment.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn take_over(tx: &WriteTx, user: UserId) -> Result<()> {
    // A sign-in with the old password that is under way opens its session before this, or not at all.
    account::lock(tx, user).await?;
    for sql in [
        "UPDATE credentials SET revoked_at = $2 WHERE principal_id = $1 AND revoked_at IS NULL",
        "UPDATE users SET password_hash = NULL, auth_epoch = auth_epoch + 1, updated_at = $2 WHERE id = $1",
        "DELETE FROM sso_identities WHERE user_id = $1 AND created_at <= $2",
        "DELETE FROM user_emails WHERE user_id = $1 AND verified_at IS NULL AND NOT is_primary AND created_at <= $2",
    ] {
        tx.conn()
            .execute_raw(tx.sql(sql, [user.into(), tx.now().into()]))
            .await?;
    }
    // Whoever was in wait may have an application of their own among them, and knows its secret.
    client_change::end_of_owner(tx, user).await?;
    grant::end_of_user(tx, user).await?;
    pending::end_all(tx, user).await
}

fn system() -> Origin {
    Origin {
        actor: ActorKind::System,
        actor_id: None,
        actor_label: None,
        credential: None,
        ip: None,
        user_agent: None,
        request_id: None,
    }
}
