//! Telling people of sign-ins from places that they were not seen at before.

use std::time::Duration;

use sea_orm::FromQueryResult;

use super::account::Account;
use crate::access::Origin;
use crate::kernel::{Reads, Result, Timestamp, WriteTx};
use crate::mail::{self, NewMail, Template, To};

/// How long a place is remembered.
const MEMORY: Duration = Duration::from_hours(90 * 24);

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Mails the person, unless they signed in from the same address with the same program in the last 90 days. Call it
/// before the new session is there.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn tell(tx: &WriteTx, account: &Account, origin: &Origin) -> Result<()> {
    if is_known(tx, account, origin).await? {
        return Ok(());
    }
    let mail = NewMail::new(Template::NewSignIn, To::Primary(account.id));
    mail::queue(tx, with_place(mail, tx.now(), origin)).await
}

/// Adds when and from where something was done.
pub(super) fn with_place(mail: NewMail, at: Timestamp, origin: &Origin) -> NewMail {
    let unknown = || "unknown".to_owned();
    mail.with("ip", origin.ip.clone().unwrap_or_else(unknown))
        .with("user_agent", origin.user_agent.clone().unwrap_or_else(unknown))
        .with("at", at.to_string())
}

async fn is_known(tx: &WriteTx, account: &Account, origin: &Origin) -> Result<bool> {
    let sql = "SELECT COUNT(*) AS n FROM credentials
               WHERE principal_id = $1 AND kind = 'session' AND created_at > $2
                 AND COALESCE(ip, '') = $3 AND COALESCE(user_agent, '') = $4";
    let values = [
        account.id.into(),
        (tx.now() - MEMORY).into(),
        origin.ip.clone().unwrap_or_default().into(),
        origin.user_agent.clone().unwrap_or_default().into(),
    ];
    let count = Count::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
    Ok(count.is_some_and(|count| count.n > 0))
}
