//! Places that an account was signed in to from. Failures at one of them are counted apart from failures elsewhere, so
//! that whoever guesses from somewhere else does not slow the account's person down.

use std::time::Duration;

use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::kernel::id::UserId;
use crate::kernel::{Reads, Result};

/// How long a place is remembered.
const MEMORY: Duration = Duration::from_hours(90 * 24);

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Whether the account was signed in to from this very address in the last 90 days. For a name that no account has it
/// asks the same, so that it takes as long.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn is_known(from: &impl Reads, user: Option<UserId>, ip: Option<&str>) -> Result<bool> {
    let sql = "SELECT COUNT(*) AS n FROM credentials
               WHERE principal_id = $1 AND kind = 'session' AND created_at > $2 AND ip = $3";
    let values = [
        user.unwrap_or(UserId(Uuid::nil())).into(),
        (from.now() - MEMORY).into(),
        ip.unwrap_or_default().into(),
    ];
    let count = Count::find_by_statement(from.sql(sql, values)).one(from.conn()).await?;
    Ok(count.is_some_and(|count| count.n > 0))
}
