//! Jobs of an organisation that is gone for good.

use sea_orm::ConnectionTrait;

use crate::kernel::id::OrgId;
use crate::kernel::{Reads, Result, WriteTx};

/// Deletes an organisation's jobs with their attempts. A worker that has one under way finds its lease gone.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn delete_of_org(tx: &WriteTx, org: OrgId) -> Result<()> {
    let sql = "DELETE FROM jobs WHERE org_id = $1";
    tx.conn().execute_raw(tx.sql(sql, [org.into()])).await?;
    Ok(())
}
