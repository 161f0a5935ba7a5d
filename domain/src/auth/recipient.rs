//! Whom a mail reaches. Mails go to the address as it is stored, never as somebody typed it: two spellings that we hold
//! for one may be two mailboxes elsewhere.

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::claim;
use crate::kernel::id::{EmailId, UserId};
use crate::kernel::{Reads, Result, Timestamp};
use crate::mail::To;

/// An address of an account, with the person behind it.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Recipient {
    pub user: UserId,
    pub email: EmailId,
    pub address: String,
    /// Empty for an address that nobody has proved: whoever registered with it could write to its owner in our name.
    pub first_name: String,
    pub verified_at: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
}

const SELECT: &str = "SELECT u.id AS \"user\", e.id AS email, e.address, e.verified_at, u.disabled_at,
        CASE WHEN e.verified_at IS NULL THEN '' ELSE u.first_name END AS first_name
    FROM users u JOIN user_emails e ON e.user_id = u.id";

/// The recipient of a mail to an account. `None` when it or the address is gone, or the account is disabled.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn find(from: &impl Reads, to: &To) -> Result<Option<Recipient>> {
    let (condition, values) = match to {
        To::Email { user, email } => ("u.id = $1 AND e.id = $2", vec![(*user).into(), (*email).into()]),
        To::Primary(user) => ("u.id = $1 AND e.is_primary", vec![(*user).into()]),
        To::Address(_) => return Ok(None),
    };
    let sql = format!("{SELECT} WHERE {condition}");
    let found = Recipient::find_by_statement(from.sql(&sql, values))
        .one(from.conn())
        .await?;
    Ok(found.filter(|row| row.disabled_at.is_none() && !claim::is_nowhere(&row.address)))
}

/// The account that an address belongs to: one that has verified it, or has it as its default. `canonical` is canonical.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn owner_of(from: &impl Reads, canonical: &str) -> Result<Option<Recipient>> {
    let sql =
        format!("{SELECT} WHERE e.realm_id = $2 AND e.canonical = $1 AND (e.is_primary OR e.verified_at IS NOT NULL)");
    let values = [canonical.into(), Uuid::nil().into()];
    Ok(Recipient::find_by_statement(from.sql(&sql, values))
        .one(from.conn())
        .await?)
}
