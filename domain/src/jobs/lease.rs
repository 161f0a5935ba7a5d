//! Leases: which worker has which job, and until when. They have a table of their own, which is small however long the
//! queue is: to take a job and to give it back changes neither the job's row nor one of its indexes.

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde_json::json;
use uuid::Uuid;

use super::Claimed;
use crate::kernel::db::{id_param, is_one_of};
use crate::kernel::id::JobId;
use crate::kernel::{Backend, Db, Reads, Result, WriteTx};

/// How long a claim holds. A run ends within 20 s by a hard wall and its result is written within seconds, so the
/// lease needs no renewal; work that takes longer renews it, see [`renew`].
pub const LEASE: Duration = Duration::from_mins(1);

/// The condition that nobody holds a row of `jobs`. One look for each row, and none that the planner could turn into a walk
/// over all leases.
pub(super) const IS_FREE: &str = "(SELECT l.job_id FROM job_leases l WHERE l.job_id = jobs.id) IS NULL";

#[derive(FromQueryResult)]
struct Of {
    job_id: JobId,
}

/// Keeps PostgreSQL from walking over all leases in what follows: a statement that was planned while there were few would do
/// so when there are many.
pub(super) async fn plan_by_index(tx: &WriteTx) -> Result<()> {
    if tx.backend() == Backend::Postgres {
        tx.conn().execute_unprepared("SET LOCAL enable_seqscan = off").await?;
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
    let pairs: Vec<_> = held.map(pair).collect();
    let list = match tx.backend() {
        Backend::Postgres => "SELECT job, lease FROM json_to_recordset($1::json) AS v (job uuid, lease uuid)",
        Backend::Sqlite => "SELECT unhex(value->>'job'), unhex(value->>'lease') FROM json_each($1)",
    };
    let sql = format!("DELETE FROM job_leases WHERE (job_id, lease_id) IN ({list}) RETURNING job_id");
    let ended = Of::find_by_statement(tx.sql(&sql, [json!(pairs).to_string().into()]));
    Ok(ended.all(tx.conn()).await?.into_iter().map(|row| row.job_id).collect())
}

/// Which of these jobs somebody holds.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn held(from: &impl Reads, jobs: impl IntoIterator<Item = JobId>) -> Result<HashSet<JobId>> {
    let sql = format!(
        "SELECT job_id FROM job_leases WHERE {}",
        is_one_of(from.backend(), "job_id", "$1")
    );
    let wanted = id_param(jobs.into_iter().map(|job| job.0));
    let rows = Of::find_by_statement(from.sql(&sql, [wanted])).all(from.conn()).await?;
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
