//! Jobs whose purpose is gone.

use sea_orm::ConnectionTrait;

use super::lease::{self, IS_FREE};
use crate::kernel::id::{OrgId, WebhookId};
use crate::kernel::{Backend, Reads, Result, WriteTx};

/// Deletes an organisation's jobs with their attempts. A worker that has one under way finds its lease gone.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn delete_of_org(tx: &WriteTx, org: OrgId) -> Result<()> {
    for sql in [
        "DELETE FROM job_leases WHERE job_id IN (SELECT id FROM jobs WHERE org_id = $1)",
        "DELETE FROM jobs WHERE org_id = $1",
    ] {
        tx.conn().execute_raw(tx.sql(sql, [org.into()])).await?;
    }
    Ok(())
}

/// Cancels the deliveries that wait for a webhook. Those under way end as they end.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn cancel_waiting(tx: &WriteTx, webhook: WebhookId) -> Result<()> {
    lease::plan_by_index(tx).await?;
    if tx.backend() == Backend::Postgres {
        // Whoever claims passes these over from now on. What was claimed a moment ago is seen by the statement after this.
        let sql = format!(
            "SELECT COUNT(*) FROM (
                SELECT id FROM jobs WHERE webhook_id = $1 AND state = 0 AND {IS_FREE} ORDER BY id FOR NO KEY UPDATE) waiting"
        );
        tx.conn().query_one_raw(tx.sql(&sql, [webhook.into()])).await?;
    }
    let sql = format!("UPDATE jobs SET state = 4, done_at = $2 WHERE webhook_id = $1 AND state = 0 AND {IS_FREE}");
    tx.conn()
        .execute_raw(tx.sql(&sql, [webhook.into(), tx.now().into()]))
        .await?;
    Ok(())
}
