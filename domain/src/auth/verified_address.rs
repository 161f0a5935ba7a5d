//! What an account has proven about its addresses.

use sea_orm::FromQueryResult;

use crate::kernel::id::{EmailId, UserId};
use crate::kernel::{Reads, Result, Timestamp};

#[derive(FromQueryResult)]
struct Address {
    canonical: String,
}

/// The domains in which the account has a verified address, in lower case.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn domains(from: &impl Reads, user: UserId) -> Result<Vec<String>> {
    let sql = "SELECT canonical FROM user_emails WHERE user_id = $1 AND verified_at IS NOT NULL";
    let rows = Address::find_by_statement(from.sql(sql, [user.into()]))
        .all(from.conn())
        .await?;
    let domain = |row: Address| row.canonical.rsplit_once('@').map(|(_, domain)| domain.to_owned());
    Ok(rows.into_iter().filter_map(domain).collect())
}

/// An address of an account.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub struct Own {
    pub id: EmailId,
    /// `None` = only claimed.
    pub verified_at: Option<Timestamp>,
}

/// What an account has of an address; `None` when it is none of its own. `canonical` is canonical.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn own(from: &impl Reads, user: UserId, canonical: &str) -> Result<Option<Own>> {
    let sql = "SELECT id, verified_at FROM user_emails WHERE user_id = $1 AND canonical = $2";
    let found = Own::find_by_statement(from.sql(sql, [user.into(), canonical.into()]));
    Ok(found.one(from.conn()).await?)
}

/// Whether an account has any verified address.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn has_any(from: &impl Reads, user: UserId) -> Result<bool> {
    let sql = "SELECT id, verified_at FROM user_emails WHERE user_id = $1 AND verified_at IS NOT NULL LIMIT 1";
    let found = Own::find_by_statement(from.sql(sql, [user.into()]));
    Ok(found.one(from.conn()).await?.is_some())
}
