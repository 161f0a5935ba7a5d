//! Writing down what came of jobs, many at once.

use std::collections::{HashMap, HashSet};

use sea_orm::FromQueryResult;
use serde::Serialize;
use uuid::Uuid;

use super::JobState;
use super::health::Notes;
use super::lease;
use crate::kernel::id::{JobId, WebhookId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Backend, Db, Error, Reads, Result, Rows, Timestamp, WriteTx};

/// What becomes of the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    Retry(Timestamp),
    /// It is long work, done in parts: it goes on then, and this run used up no try.
    Continue(Timestamp),
    /// No further try: the tries are used up, or the receiver said never again.
    Dead,
    /// What it was for is gone.
    Cancelled,
    /// It was not begun: it goes back as if it had never been claimed, and nothing is logged.
    Release,
}

/// The log of one attempt.
#[derive(Clone, Debug, Default)]
pub struct AttemptLog {
    pub outcome: &'static str,
    pub status: Option<u16>,
    pub dns_us: Option<u64>,
    pub connect_us: Option<u64>,
    pub first_byte_us: Option<u64>,
    pub total_us: Option<u64>,
    pub remote_ip: Option<String>,
    /// JSON object of the headers worth keeping.
    pub response_headers: Option<String>,
    pub response_body: Option<Vec<u8>>,
    /// For people; never holds a secret.
    pub error: Option<String>,
}

/// The end of one run.
#[derive(Clone, Debug)]
pub struct Finished {
    pub job_id: JobId,
    pub lease_id: Uuid,
    pub n: i32,
    pub started_at: Timestamp,
    pub verdict: Verdict,
    /// It was the one delivery that an open breaker let through.
    pub is_trial: bool,
    pub log: AttemptLog,
}

#[derive(FromQueryResult)]
struct Known {
    id: JobId,
}

#[derive(FromQueryResult)]
struct Fenced {
    id: JobId,
    webhook_id: Option<WebhookId>,
    cause: String,
}

/// Writes attempts and new states in one transaction. A job whose lease went to another worker keeps the state that
/// the other gives it; its attempt is logged as `stale`. Returns how many were stale.
///
/// New states go in as one parameter: so the statements are the same however many there are, and are planned once.
///
/// # Errors
/// [`crate::kernel::Error::Db`]: nothing was written, and the same batch may be handed in again.
pub async fn finish(db: &Db, worker: &str, batch: &[Finished]) -> Result<usize> {
    if batch.is_empty() {
        return Ok(0);
    }
    // Locks are always taken in the order of ids, and that of a job before that of its lease: nobody waits in a circle.
    let mut sorted: Vec<&Finished> = batch.iter().collect();
    sorted.sort_by_key(|finished| finished.job_id);
    loop {
        if let Some(stale) = try_finish(db, worker, &sorted).await? {
            return Ok(stale);
        }
    }
}

/// `None` when a lease was taken back in the middle: nothing is written then, and the next try sees that it is gone.
async fn try_finish(db: &Db, worker: &str, batch: &[&Finished]) -> Result<Option<usize>> {
    let tx = db.begin_write().await?;
    lease::plan_by_index(&tx).await?;
    let begun: Vec<&Finished> = batch
        .iter()
        .copied()
        .filter(|finished| finished.verdict != Verdict::Release)
        .collect();
    let fenced = update_jobs(&tx, &begun).await?;
    let ended = lease::end(&tx, batch.iter().map(|one| (one.job_id, one.lease_id))).await?;
    if fenced.keys().any(|job| !ended.contains(job)) {
        tx.rollback().await?;
        return Ok(None);
    }
    let (ours, stale): (Vec<&Finished>, Vec<&Finished>) =
        begun.iter().partition(|finished| fenced.contains_key(&finished.job_id));
    let known = known(&tx, &stale).await?;
    let mut rows = Vec::with_capacity(begun.len());
    for finished in &ours {
        rows.push(attempt(&tx, finished, finished.log.outcome)?);
    }
    for finished in stale.iter().filter(|finished| known.contains(&finished.job_id)) {
        rows.push(attempt(&tx, finished, "stale")?);
    }
    insert_attempts(&tx, worker, &rows).await?;
    let mut notes = Notes::default();
    for finished in &ours {
        let job = fenced.get(&finished.job_id);
        if let Some((webhook, job)) = job.and_then(|job| Some((job.webhook_id?, job))) {
            notes.note(webhook, &job.cause, finished.log.outcome, finished.is_trial, tx.now());
        }
    }
    notes.write(&tx).await?;
    tx.commit_bookkeeping().await?;
    Ok(Some(stale.len()))
}

/// Which of these jobs are still there; the others went with their organisation.
async fn known(tx: &WriteTx, stale: &[&Finished]) -> Result<HashSet<JobId>> {
    if stale.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = format!("SELECT id FROM jobs WHERE {}", is_one_of(tx.backend(), "id", "$1"));
    let ids = id_param(stale.iter().map(|finished| finished.job_id.0));
    let rows = Known::find_by_statement(tx.sql(&sql, [ids])).all(tx.conn()).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// A new state as the statement reads it.
#[derive(Serialize)]
struct StateRow<'a> {
    job: String,
    lease: String,
    new_state: i32,
    /// Absent: as it is.
    due: Option<i64>,
    ended: Option<i64>,
    outcome: &'a str,
    tried: i32,
}

async fn update_jobs(tx: &WriteTx, batch: &[&Finished]) -> Result<HashMap<JobId, Fenced>> {
    let now = tx.now().micros();
    let row = |finished: &&Finished| {
        let (state, due, ended) = match finished.verdict {
            Verdict::Done => (JobState::Done, None, Some(now)),
            Verdict::Retry(at) | Verdict::Continue(at) => (JobState::Ready, Some(at.micros()), None),
            Verdict::Dead => (JobState::Dead, None, Some(now)),
            Verdict::Cancelled => (JobState::Cancelled, None, Some(now)),
            Verdict::Release => (JobState::Ready, None, None),
        };
        StateRow {
            job: finished.job_id.0.simple().to_string(),
            lease: finished.lease_id.simple().to_string(),
            new_state: state.as_i32(),
            due,
            ended,
            outcome: finished.log.outcome,
            tried: i32::from(!matches!(finished.verdict, Verdict::Continue(_))),
        }
    };
    let rows = json(&batch.iter().map(row).collect::<Vec<_>>())?;
    let from = match tx.backend() {
        Backend::Postgres => {
            "json_to_recordset($1::json) AS v (job uuid, lease uuid, new_state int, due bigint, ended bigint, outcome text, tried int)"
        }
        Backend::Sqlite => {
            "(SELECT unhex(value->>'job') AS job, unhex(value->>'lease') AS lease, value->>'new_state' AS new_state,
                value->>'due' AS due, value->>'ended' AS ended, value->>'outcome' AS outcome, value->>'tried' AS tried
              FROM json_each($1)) AS v"
        }
    };
    // The sign keeps the indexes on states out: the planner, which knows nothing of how full the queue is, would look
    // through all that waits for each of these rows.
    let sql = format!(
        "UPDATE jobs SET state = v.new_state, next_at = COALESCE(v.due, jobs.next_at), done_at = v.ended,
                last_outcome = v.outcome, attempt = jobs.attempt + v.tried
         FROM {from}
         WHERE jobs.id = v.job AND +jobs.state = 0
           AND (SELECT l.lease_id FROM job_leases l WHERE l.job_id = v.job) = v.lease
         RETURNING id, webhook_id, cause"
    );
    let fenced = Fenced::find_by_statement(tx.sql(&sql, [rows.into()]))
        .all(tx.conn())
        .await?;
    Ok(fenced.into_iter().map(|row| (row.id, row)).collect())
}

fn json(rows: &impl Serialize) -> Result<String> {
    serde_json::to_string(rows).map_err(|e| Error::internal(format!("results: {e}")))
}

/// An attempt as it is logged.
struct Attempt<'a> {
    id: Uuid,
    of: &'a Finished,
    outcome: &'a str,
}

fn attempt<'a>(tx: &WriteTx, of: &'a Finished, outcome: &'a str) -> Result<Attempt<'a>> {
    let id = tx.new_id()?;
    Ok(Attempt { id, of, outcome })
}

async fn insert_attempts(tx: &WriteTx, worker: &str, rows: &[Attempt<'_>]) -> Result<()> {
    let each = || rows.iter().map(|row| &row.of.log);
    let micros = |time: Option<u64>| time.map(|time| i64::try_from(time).unwrap_or(i64::MAX));
    Rows::of("job_attempts", rows.len())
        .each("id", rows.iter().map(|row| row.id))
        .each("job_id", rows.iter().map(|row| row.of.job_id))
        .each("n", rows.iter().map(|row| row.of.n))
        .same("worker", worker)
        .each("started_at", rows.iter().map(|row| row.of.started_at))
        .each("outcome", rows.iter().map(|row| row.outcome))
        .each("status", each().map(|log| log.status.map(i32::from)))
        .each("dns_us", each().map(|log| micros(log.dns_us)))
        .each("connect_us", each().map(|log| micros(log.connect_us)))
        .each("first_byte_us", each().map(|log| micros(log.first_byte_us)))
        .each("total_us", each().map(|log| micros(log.total_us)))
        .each("remote_ip", each().map(|log| log.remote_ip.clone()))
        .each("response_headers", each().map(|log| log.response_headers.clone()))
        .each("response_body", each().map(|log| log.response_body.clone()))
        .each("error", each().map(|log| log.error.clone()))
        .insert(tx, "")
        .await
}
