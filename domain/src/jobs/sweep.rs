//! What makes the bell dispensable: every process looks for itself, once a second, at what is due and what was lost.

use std::collections::HashMap;
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde::Serialize;

use super::JobState;
use super::gate::AT_ONCE;
use super::lease::IS_NOT_HELD;
use crate::kernel::id::JobId;
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Backend, Db, Error, Reads, Result, Rows, Timestamp, WriteTx};

/// Workers that may die over one job before it is set aside.
pub const MAX_CRASHES: i32 = 5;

/// The outcome of a run whose worker went silent.
const LOST: &str = "worker_lost";

/// What a sweep found.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Lanes with due jobs.
    pub due_lanes: Vec<String>,
    /// Time until the next job falls due.
    pub next_due: Option<Duration>,
    /// Jobs taken back from workers that went silent.
    pub lost: usize,
}

#[derive(FromQueryResult)]
struct Expired {
    job_id: JobId,
}

/// A lease that ran out and was ended.
#[derive(FromQueryResult)]
struct Lost {
    job_id: JobId,
    worker: String,
    /// Its run was begun.
    begun: bool,
}

/// The job whose it was.
#[derive(FromQueryResult)]
struct Held {
    id: JobId,
    attempt: i32,
    crashes: i32,
}

/// What becomes of the job, as the statement reads it.
#[derive(Serialize)]
struct Fate {
    job: String,
    new_state: i32,
    crashes: i32,
    /// Absent: it will be tried again.
    ended: Option<i64>,
    /// Absent: as it is.
    outcome: Option<&'static str>,
}

#[derive(FromQueryResult)]
struct Lane {
    lane: String,
}

#[derive(FromQueryResult)]
struct Earliest {
    at: Option<Timestamp>,
}

/// Takes back jobs whose lease ran out and lists the lanes that have due jobs. Any number of processes may do it at
/// the same time.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn sweep(db: &Db) -> Result<Sweep> {
    let now = db.queue_now();
    let lost = if any_expired(db, now).await? {
        take_back(db).await?
    } else {
        0
    };
    // Jumps from lane to lane along the index, however many jobs a lane holds, and asks the first due job of each who it
    // is for: nothing of an endpoint that is off or paused can be had, unless somebody asked for it.
    let lanes = format!(
        "WITH RECURSIVE lanes (lane) AS (
            SELECT min(lane) FROM jobs WHERE state = 0
            UNION ALL
            SELECT (SELECT min(j.lane) FROM jobs j WHERE j.state = 0 AND j.lane > lanes.lane) FROM lanes WHERE lanes.lane IS NOT NULL
        )
        SELECT lane FROM lanes WHERE lane IS NOT NULL AND EXISTS (
            SELECT 1 FROM (
                SELECT webhook_id FROM jobs WHERE lane = lanes.lane AND state = 0 AND next_at <= $1 AND {IS_NOT_HELD}
                ORDER BY next_at, id LIMIT 1) due
            WHERE due.webhook_id IS NULL OR EXISTS (
                SELECT 1 FROM webhooks w LEFT JOIN webhook_health h ON h.webhook_id = w.id
                WHERE w.id = due.webhook_id AND w.enabled AND w.deleted_at IS NULL
                  AND (h.breaker_until IS NULL OR h.breaker_until <= $1 OR lanes.lane LIKE '%{AT_ONCE}')))"
    );
    let due = Lane::find_by_statement(db.sql(&lanes, [now.into()]))
        .all(db.conn())
        .await?;
    let earliest = "SELECT min(next_at) AS at FROM jobs WHERE state = 0 AND next_at > $1";
    let earliest = Earliest::find_by_statement(db.sql(earliest, [now.into()]))
        .one(db.conn())
        .await?;
    Ok(Sweep {
        due_lanes: due.into_iter().map(|row| row.lane).collect(),
        next_due: earliest.and_then(|row| row.at).map(|at| at.since(now)),
        lost,
    })
}

/// A plain read first: a sweep that finds nothing must not take SQLite's write lock every second.
async fn any_expired(db: &Db, now: Timestamp) -> Result<bool> {
    let sql = "SELECT min(lease_until) AS at FROM job_leases WHERE lease_until < $1";
    let row = Earliest::find_by_statement(db.sql(sql, [now.into()]))
        .one(db.conn())
        .await?;
    Ok(row.and_then(|row| row.at).is_some())
}

async fn take_back(db: &Db) -> Result<usize> {
    let tx = db.begin_write().await?;
    let now = tx.queue_now();
    let sql = "SELECT job_id FROM job_leases WHERE lease_until < $1";
    let expired = Expired::find_by_statement(tx.sql(sql, [now.into()]))
        .all(tx.conn())
        .await?;
    let expired = id_param(expired.into_iter().map(|lease| lease.job_id.0));
    let jobs = held(&tx, expired.clone()).await?;
    // A result may have been written while the job's lock was waited for; then there is no lease any more.
    let is_one = is_one_of(tx.backend(), "job_id", "$2");
    let sql = format!("DELETE FROM job_leases WHERE lease_until < $1 AND {is_one} RETURNING job_id, worker, begun");
    let lost = Lost::find_by_statement(tx.sql(&sql, [now.into(), expired]));
    let lost: HashMap<JobId, Lost> = lost
        .all(tx.conn())
        .await?
        .into_iter()
        .map(|one| (one.job_id, one))
        .collect();
    let (mut fates, mut logs) = (Vec::new(), Vec::new());
    for job in &jobs {
        let Some(lease) = lost.get(&job.id) else { continue };
        fates.push(fate(job, lease, tx.now()));
        if is_suspicious(job, lease) {
            logs.push((tx.new_id::<JobId>()?, job, lease));
        }
    }
    write(&tx, &fates).await?;
    Rows::of("job_attempts", logs.len())
        .each("id", logs.iter().map(|(id, _, _)| *id))
        .each("job_id", logs.iter().map(|(_, job, _)| job.id))
        .each("n", logs.iter().map(|(_, job, _)| job.attempt + job.crashes + 1))
        .each("worker", logs.iter().map(|(_, _, lease)| lease.worker.clone()))
        .same("started_at", tx.now())
        .same("outcome", LOST)
        .insert(&tx, "")
        .await?;
    tx.commit_bookkeeping().await?;
    Ok(fates.len())
}

/// The jobs of expired leases, locked. One that was cancelled or is gone is not among them.
async fn held(tx: &WriteTx, expired: Value) -> Result<Vec<Held>> {
    let lock = match tx.backend() {
        Backend::Postgres => " FOR NO KEY UPDATE",
        Backend::Sqlite => "",
    };
    let sql = format!(
        "SELECT id, attempt, crashes FROM jobs WHERE {} AND +state = 0 ORDER BY id{lock}",
        is_one_of(tx.backend(), "id", "$1")
    );
    Ok(Held::find_by_statement(tx.sql(&sql, [expired])).all(tx.conn()).await?)
}

/// The first loss makes a job suspect. After that only those count in which it was under way: what a worker had claimed
/// besides is not to blame for its death.
fn is_suspicious(job: &Held, lease: &Lost) -> bool {
    job.crashes == 0 || lease.begun
}

fn fate(job: &Held, lease: &Lost, now: Timestamp) -> Fate {
    let counts = is_suspicious(job, lease);
    let crashes = job.crashes + i32::from(counts);
    let is_over = lease.begun && crashes >= MAX_CRASHES;
    let state = if is_over { JobState::Dead } else { JobState::Ready };
    Fate {
        job: job.id.0.simple().to_string(),
        new_state: state.as_i32(),
        crashes,
        ended: is_over.then_some(now.micros()),
        outcome: counts.then_some(LOST),
    }
}

async fn write(tx: &WriteTx, fates: &[Fate]) -> Result<()> {
    let from = match tx.backend() {
        Backend::Postgres => {
            "json_to_recordset($1::json) AS v (job uuid, new_state int, crashes int, ended bigint, outcome text)"
        }
        Backend::Sqlite => {
            "(SELECT unhex(value->>'job') AS job, value->>'new_state' AS new_state, value->>'crashes' AS crashes,
                value->>'ended' AS ended, value->>'outcome' AS outcome FROM json_each($1)) AS v"
        }
    };
    let sql = format!(
        "UPDATE jobs SET state = v.new_state, crashes = v.crashes, done_at = v.ended, next_at = $2,
                last_outcome = COALESCE(v.outcome, jobs.last_outcome)
         FROM {from} WHERE jobs.id = v.job AND +jobs.state = 0"
    );
    let rows = serde_json::to_string(fates).map_err(|e| Error::internal(format!("jobs taken back: {e}")))?;
    let values = [rows.into(), tx.queue_now().into()];
    tx.conn().execute_raw(tx.sql(&sql, values)).await?;
    Ok(())
}
