//! Mails of an organisation that is gone for good.

use sea_orm::ConnectionTrait;

use crate::kernel::id::OrgId;
use crate::kernel::{Reads, Result, WriteTx};

/// Deletes the invitations' mails: they hold addresses of people who may have no account.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn delete_of_org(tx: &WriteTx, org: OrgId) -> Result<()> {
    let sql = "DELETE FROM mails WHERE invite_id IN (SELECT id FROM invites WHERE org_id = $1)";
    tx.conn().execute_raw(tx.sql(sql, [org.into()])).await?;
    Ok(())
}
