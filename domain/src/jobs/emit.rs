//! The only way to make a job: inside the transaction of the change that asks for it.

use super::{Cause, Job, JobState, MAX_ATTEMPTS};
use crate::kernel::id::{EventId, JobId, OrgId, WebhookId};
use crate::kernel::trace::{self, TraceParent};
use crate::kernel::{Error, Reads, Result, Rows, WriteTx};

/// A job to be made.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub job: Job,
    /// The part of the lane's name after the kind's prefix.
    pub lane: String,
    pub org_id: Option<OrgId>,
    pub webhook_id: Option<WebhookId>,
    pub event_id: Option<EventId>,
    pub cause: Cause,
    /// A second job of this kind and key is not made.
    pub idempotency_key: String,
}

/// Inserts the jobs and notes their lanes, to be rung once the transaction is committed.
///
/// # Errors
/// [`Error::Db`].
pub async fn emit(tx: &WriteTx, jobs: Vec<NewJob>) -> Result<Vec<JobId>> {
    let span = trace::current();
    let jobs = jobs.into_iter().map(|job| Placed { job, seq: 0, span });
    emit_in_order(tx, jobs.collect()).await
}

/// A job that carries an event.
#[derive(Clone, Debug)]
pub struct Placed {
    pub job: NewJob,
    /// The number of its event in the journal, which is its place in its lane where the order counts.
    pub seq: i64,
    /// What its event came of.
    pub span: Option<TraceParent>,
}

/// The same for jobs that carry events.
///
/// # Errors
/// [`Error::Db`].
pub async fn emit_in_order(tx: &WriteTx, jobs: Vec<Placed>) -> Result<Vec<JobId>> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<JobId> = Vec::with_capacity(jobs.len());
    let mut lanes = Vec::with_capacity(jobs.len());
    let mut payloads = Vec::with_capacity(jobs.len());
    for Placed { job: new, .. } in &jobs {
        let lane = format!("{}{}", new.job.kind().lane_prefix(), new.lane);
        tx.will_ring(lane.clone());
        lanes.push(lane);
        ids.push(tx.new_id()?);
        payloads.push(serde_json::to_string(&new.job).map_err(|e| Error::internal(format!("job payload: {e}")))?);
    }
    let each = || jobs.iter().map(|placed| &placed.job);
    // A test is one try: the caller waits for its answer.
    let tries = |new: &NewJob| if new.cause == Cause::Test { 1 } else { MAX_ATTEMPTS };
    Rows::of("jobs", jobs.len())
        .each("id", ids.iter().copied())
        .each("kind", each().map(|new| new.job.kind().as_str()))
        .each("lane", lanes)
        .each("org_id", each().map(|new| new.org_id))
        .each("webhook_id", each().map(|new| new.webhook_id))
        .each("event_id", each().map(|new| new.event_id))
        .each("payload", payloads)
        .each("idempotency_key", each().map(|new| new.idempotency_key.clone()))
        .same("state", JobState::Ready.as_i32())
        .same("attempt", 0)
        .each("max_attempts", each().map(tries))
        .same("crashes", 0)
        .each("cause", each().map(|new| new.cause.as_str()))
        .same("next_at", tx.queue_now())
        .same("created_at", tx.now())
        .each("seq", jobs.iter().map(|placed| placed.seq))
        .each(
            "traceparent",
            jobs.iter().map(|placed| placed.span.map(|span| span.to_string())),
        )
        .insert(tx, "ON CONFLICT (kind, idempotency_key) DO NOTHING")
        .await?;
    Ok(ids)
}
