//! Leases: which worker has which job, and until when. They have a table of their own, which is small however long the
//! queue is: to take a job and to give it back writes neither the job's row anew nor one of its indexes.
//!
//! Whoever changes a job and its lease takes the job first: so does a claim.

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde_json::json;
use uuid::Uuid;

use super::Claimed;
use crate::kernel::id::{JobId, WebhookId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Backend, Db, Reads, Result, WriteTx};

/// How long a claim holds. A run ends within 20 s by a hard wall and its result is written within seconds, so the
/// lease needs no renewal; work that takes longer renews it, see [`renew`].
pub const LEASE: Duration = Duration::from_mins(1);

/// The condition that nobody holds a row of `jobs`: a look for each row, and after [`plan_by_index`] never more than that.
pub(super) const IS_FREE: &str = "(SELECT l.job_id FROM job_leases l WHERE l.job_id = jobs.id) IS NULL";

/// The same for statements that look at very many rows, or are rare: all leases are read once.
pub(super) const IS_NOT_HELD: &str = "jobs.id NOT IN (SELECT job_id FROM job_leases)";

#[derive(FromQueryResult)]
struct Of {
    job_id: JobId,
}

/// Keeps PostgreSQL from walking over all leases in what follows: a statement that was planned while there were few would do
/// so when there are many.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off";

/// Plans what follows by [`BY_INDEX`].
pub(super) async fn plan_by_index(tx: &WriteTx) -> Result<()> {
    if tx.backend() == Backend::Postgres {
        tx.conn().execute_unprepared(BY_INDEX).await?;
    }
    Ok(())
}

/// The same for a claim. One that a crash of the database takes back was never made: waiting for the disk buys nothing.
pub(super) async fn claim_by_index(tx: &WriteTx) -> Result<()> {
    if tx.backend() == Backend::Postgres {
        let both = format!("SET LOCAL synchronous_commit = off; {BY_INDEX}");
        tx.conn().execute_unprepared(&both).await?;
    }
    Ok(())
}

/// Ends leases that still hold; the jobs whose they were. Nobody else can end the same.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub(super) async fn end(tx: &WriteTx, held: impl Iterator<Item = (JobId, Uuid)>) -> Result<HashSet<JobId>> {
    let pair =
        |(job, lease): (JobId, Uuid)| json!({ "job": job.0.simple().to_string(), "lease": lease.simple().to_string() });
    let held: Vec<(JobId, Uuid)> = held.collect();
    let jobs = id_param(held.iter().map(|(job, _)| job.0));
    let pairs: Vec<_> = held.into_iter().map(pair).collect();
    let list = match tx.backend() {
        Backend::Postgres => "SELECT job, lease FROM json_to_recordset($1::json) AS v (job uuid, lease uuid)",
        Backend::Sqlite => "SELECT unhex(value->>'job'), unhex(value->>'lease') FROM json_each($1)",
    };
    let is_one = is_one_of(tx.backend(), "job_id", "$2");
    let sql = format!("DELETE FROM job_leases WHERE {is_one} AND (job_id, lease_id) IN ({list}) RETURNING job_id");
    let ended = Of::find_by_statement(tx.sql(&sql, [json!(pairs).to_string().into(), jobs]));
    Ok(ended.all(tx.conn()).await?.into_iter().map(|row| row.job_id).collect())
}

/// The jobs of a webhook that somebody holds. Asked for before the jobs are read, so that none that ends meanwhile seems to
/// go back to where it waited.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn held(from: &impl Reads, webhook: WebhookId) -> Result<HashSet<JobId>> {
    let sql = "SELECT l.job_id FROM job_leases l JOIN jobs j ON j.id = l.job_id WHERE j.webhook_id = $1";
    let rows = Of::find_by_statement(from.sql(sql, [webhook.into()]))
        .all(from.conn())
        .await?;
    Ok(rows.into_iter().map(|row| row.job_id).collect())
}

/// Notes that the run of a job begins. Wanted only for a job with crashes: a worker that dies takes all that it has claimed
/// with it, and only what was begun is to blame. Tells whether the job is still this worker's.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn begin(db: &Db, job: &Claimed) -> Result<bool> {
    let tx = db.begin_write().await?;
    let sql = "UPDATE job_leases SET begun = TRUE WHERE job_id = $1 AND lease_id = $2";
    change(tx, sql, vec![job.id.into(), job.lease_id.into()]).await
}

/// Holds a claim for as long again, for work that takes longer than one lease. Tells whether it is still ours.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn renew(db: &Db, job: &Claimed) -> Result<bool> {
    let tx = db.begin_write().await?;
    let until = tx.queue_now() + LEASE;
    let sql = "UPDATE job_leases SET lease_until = $3 WHERE job_id = $1 AND lease_id = $2";
    change(tx, sql, vec![job.id.into(), job.lease_id.into(), until.into()]).await
}

async fn change(tx: WriteTx, sql: &str, values: Vec<Value>) -> Result<bool> {
    let changed = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok(changed.rows_affected() == 1)
}
