//! The only way to make a job: inside the transaction of the change that asks for it.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, EntityTrait};

use super::entity::job;
use super::{Cause, Job, JobState, MAX_ATTEMPTS};
use crate::kernel::id::{EventId, JobId, OrgId, WebhookId};
use crate::kernel::trace::{self, TraceParent};
use crate::kernel::{Error, Reads, Result, WriteTx};

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
    let mut ids = Vec::with_capacity(jobs.len());
    let mut rows = Vec::with_capacity(jobs.len());
    for new in jobs {
        let id: JobId = tx.new_id()?;
        let lane = format!("{}{}", new.job.job.kind().lane_prefix(), new.job.lane);
        tx.will_ring(lane.clone());
        ids.push(id);
        rows.push(row(tx, id, lane, new)?);
    }
    let ignore = OnConflict::columns([job::Column::Kind, job::Column::IdempotencyKey])
        .do_nothing()
        .to_owned();
    job::Entity::insert_many(rows)
        .on_conflict(ignore)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(ids)
}

fn row(tx: &WriteTx, id: JobId, lane: String, new: Placed) -> Result<job::ActiveModel> {
    let Placed { job: new, seq, span } = new;
    let NewJob {
        job,
        lane: _,
        org_id,
        webhook_id,
        event_id,
        cause,
        idempotency_key,
    } = new;
    let payload = serde_json::to_string(&job).map_err(|e| Error::internal(format!("job payload: {e}")))?;
    Ok(job::ActiveModel {
        id: Set(id),
        kind: Set(job.kind().as_str().to_owned()),
        lane: Set(lane),
        org_id: Set(org_id),
        webhook_id: Set(webhook_id),
        event_id: Set(event_id),
        payload: Set(payload),
        idempotency_key: Set(idempotency_key),
        state: Set(JobState::Ready.as_i32()),
        attempt: Set(0),
        // A test is one try: the caller waits for its answer.
        max_attempts: Set(if cause == Cause::Test { 1 } else { MAX_ATTEMPTS }),
        crashes: Set(0),
        cause: Set(cause.as_str().to_owned()),
        next_at: Set(tx.queue_now()),
        last_outcome: Set(None),
        created_at: Set(tx.now()),
        done_at: Set(None),
        seq: Set(seq),
        traceparent: Set(span.map(|span| span.to_string())),
    })
}
