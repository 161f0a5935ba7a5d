//! What an account has proven about its addresses.

use sea_orm::FromQueryResult;

use crate::kernel::id::UserId;
use crate::kernel::{Reads, Result};

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
