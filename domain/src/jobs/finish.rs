//! Writing down what came of jobs, many at once.

use std::collections::HashMap;

use sea_orm::{ActiveValue::Set, EntityTrait, FromQueryResult, Value};
use uuid::Uuid;

use super::JobState;
use super::entity::attempt;
use super::health::Notes;
use crate::kernel::db::value_marks;
use crate::kernel::id::{JobId, WebhookId};
use crate::kernel::{Db, Reads, Result, Timestamp, WriteTx};

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
    pub log: AttemptLog,
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
/// # Errors
/// [`crate::kernel::Error::Db`]: nothing was written, and the same batch may be handed in again.
pub async fn finish(db: &Db, worker: &str, batch: &[Finished]) -> Result<usize> {
    if batch.is_empty() {
        return Ok(0);
    }
    // Locks are always taken in the order of ids: two workers cannot wait for each other.
    let mut sorted: Vec<&Finished> = batch.iter().collect();
    sorted.sort_by_key(|finished| finished.job_id);
    let tx = db.begin_write().await?;
    let fenced = update_jobs(&tx, &sorted).await?;
    let mut rows = Vec::with_capacity(batch.len());
    for finished in &sorted {
        rows.push(attempt_row(
            &tx,
            worker,
            finished,
            fenced.contains_key(&finished.job_id),
        )?);
    }
    attempt::Entity::insert_many(rows)
        .exec_without_returning(tx.conn())
        .await?;
    let mut notes = Notes::default();
    for finished in batch {
        let job = fenced.get(&finished.job_id);
        if let Some((webhook, job)) = job.and_then(|job| Some((job.webhook_id?, job))) {
            notes.note(webhook, &job.cause, finished.log.outcome, tx.now());
        }
    }
    notes.write(&tx).await?;
    tx.commit_bookkeeping().await?;
    Ok(batch.len() - fenced.len())
}

async fn update_jobs(tx: &WriteTx, batch: &[&Finished]) -> Result<HashMap<JobId, Fenced>> {
    let mut values: Vec<Value> = Vec::with_capacity(batch.len() * 7);
    for finished in batch {
        let (state, next_at, done_at) = match finished.verdict {
            Verdict::Done => (JobState::Done, tx.now(), Some(tx.now())),
            Verdict::Retry(at) | Verdict::Continue(at) => (JobState::Ready, at, None),
            Verdict::Dead => (JobState::Dead, tx.now(), Some(tx.now())),
            Verdict::Cancelled => (JobState::Cancelled, tx.now(), Some(tx.now())),
        };
        let unused_tries = i32::from(matches!(finished.verdict, Verdict::Continue(_)));
        values.extend([
            finished.job_id.into(),
            finished.lease_id.into(),
            state.as_i32().into(),
            next_at.into(),
            done_at.into(),
            finished.log.outcome.into(),
            unused_tries.into(),
        ]);
    }
    let sql = format!(
        "UPDATE jobs SET state = v.column3, next_at = v.column4, done_at = v.column5, last_outcome = v.column6,
                attempt = jobs.attempt - v.column7, lease_id = NULL, lease_until = NULL
         FROM (VALUES {}) AS v
         WHERE jobs.id = v.column1 AND jobs.lease_id = v.column2 AND jobs.state = 1
         RETURNING id, webhook_id, cause",
        value_marks(batch.len(), 7)
    );
    let fenced = Fenced::find_by_statement(tx.sql(&sql, values)).all(tx.conn()).await?;
    Ok(fenced.into_iter().map(|row| (row.id, row)).collect())
}

fn attempt_row(tx: &WriteTx, worker: &str, finished: &Finished, is_ours: bool) -> Result<attempt::ActiveModel> {
    let micros = |value: Option<u64>| value.and_then(|us| i64::try_from(us).ok());
    let AttemptLog {
        outcome,
        status,
        dns_us,
        connect_us,
        first_byte_us,
        total_us,
        remote_ip,
        response_headers,
        response_body,
        error,
    } = finished.log.clone();
    Ok(attempt::ActiveModel {
        id: Set(tx.new_id()?),
        job_id: Set(finished.job_id),
        n: Set(finished.n),
        worker: Set(worker.to_owned()),
        started_at: Set(finished.started_at),
        outcome: Set(if is_ours { outcome } else { "stale" }.to_owned()),
        status: Set(status.map(i32::from)),
        dns_us: Set(micros(dns_us)),
        connect_us: Set(micros(connect_us)),
        first_byte_us: Set(micros(first_byte_us)),
        total_us: Set(micros(total_us)),
        remote_ip: Set(remote_ip),
        response_headers: Set(response_headers),
        response_body: Set(response_body),
        error: Set(error),
    })
}
