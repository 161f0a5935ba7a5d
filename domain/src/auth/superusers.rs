//! Who looks after the instance. Once there was a superuser there always is one whose account is in order, whoever takes
//! whose rights away at the same moment.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{account, sessions};
use crate::kernel::id::UserId;
use crate::kernel::{Backend, Problem, ProblemCode, Reads, Result, WriteTx};

/// Any number that no other advisory lock of this product uses.
const LOCK: i64 = 0x5355_5045_5253;

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Changes to who is a superuser go one after the other, from here to the end of the transaction. Take it before any
/// other lock. SQLite has one writer at a time anyway.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn lock(tx: &WriteTx) -> Result<()> {
    match tx.backend() {
        Backend::Sqlite => Ok(()),
        Backend::Postgres => {
            let sql = "SELECT pg_advisory_xact_lock($1)";
            tx.conn().execute_raw(tx.sql(sql, [LOCK.into()])).await?;
            Ok(())
        }
    }
}

/// Whether there ever was a superuser: the last one cannot go.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn is_any(from: &impl Reads) -> Result<bool> {
    let sql = "SELECT COUNT(*) AS n FROM users WHERE is_superuser";
    let count = Count::find_by_statement(from.sql(sql, [])).one(from.conn()).await?;
    Ok(count.is_some_and(|count| count.n > 0))
}

/// Holds when the account is no superuser's, or somebody else is one whose account is in order. Take [`lock`] first.
///
/// # Errors
/// `conflict` with this text.
pub async fn require_other(from: &impl Reads, user: UserId, detail: &'static str) -> Result<()> {
    let sql = "SELECT COUNT(*) AS n FROM users u WHERE u.id = $1 AND u.is_superuser AND NOT EXISTS (
            SELECT 1 FROM users o WHERE o.is_superuser AND o.disabled_at IS NULL AND o.id <> $1)";
    let last = Count::find_by_statement(from.sql(sql, [user.into()]))
        .one(from.conn())
        .await?;
    if last.is_some_and(|last| last.n > 0) {
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    Ok(())
}

/// Gives or takes the rights of a superuser; whoever calls has checked that it may be, and journals.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn set(tx: &WriteTx, user: UserId, is_superuser: bool) -> Result<()> {
    let sql = "UPDATE users SET is_superuser = $2, updated_at = $3 WHERE id = $1";
    let values = [user.into(), is_superuser.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Switches an account off: its sessions and tokens end for good, and nobody signs in to it. Whoever calls journals.
///
/// # Errors
/// `not_found` when the account is gone.
pub async fn switch_off(tx: &WriteTx, user: UserId) -> Result<()> {
    account::lock(tx, user).await?;
    let sql = "UPDATE users SET disabled_at = $2, auth_epoch = auth_epoch + 1, updated_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [user.into(), tx.now().into()]))
        .await?;
    sessions::end_all(tx, user).await?;
    let sql = "UPDATE credentials SET revoked_at = $2
               WHERE principal_id = $1 AND principal_type = 'user' AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [user.into(), tx.now().into()]))
        .await?;
    Ok(())
}

/// Switches an account on again: its person can sign in. Whoever calls journals.
///
/// # Errors
/// `not_found` when the account is gone.
pub async fn switch_on(tx: &WriteTx, user: UserId) -> Result<()> {
    account::lock(tx, user).await?;
    let sql = "UPDATE users SET disabled_at = NULL, updated_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [user.into(), tx.now().into()]))
        .await?;
    Ok(())
}
