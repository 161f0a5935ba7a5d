//! Jobs as those who look after the instance see them: ids, states and outcomes, and nothing of what they carry.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, Value};

use super::entity::job;
use super::lease::IS_NOT_HELD;
use super::{JobKind, JobState};
use crate::kernel::id::{EventId, JobId, OrgId, WebhookId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// A job with the outcome of its last attempt.
#[derive(Clone, Debug)]
pub struct JobView {
    pub id: JobId,
    /// `webhook`, `mail`, and so on.
    pub kind: String,
    pub state: JobState,
    pub org_id: Option<OrgId>,
    pub webhook_id: Option<WebhookId>,
    pub event_id: Option<EventId>,
    pub cause: String,
    /// Tries that were used up, with the one that is under way.
    pub attempts: i32,
    pub max_attempts: i32,
    /// Workers that died over it.
    pub crashes: i32,
    pub last_outcome: Option<String>,
    /// For people; never a secret.
    pub last_error: Option<String>,
    pub last_attempt_at: Option<Timestamp>,
    /// `None` for a job that does not wait.
    pub next_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub done_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

#[derive(FromQueryResult)]
struct Row {
    #[sea_orm(nested)]
    job: job::Model,
    is_held: bool,
}

#[derive(FromQueryResult)]
struct Attempt {
    job_id: JobId,
    started_at: Timestamp,
    error: Option<String>,
}

/// The jobs of a state, newest first; of one kind, if that is asked for.
///
/// # Errors
/// [`Error::Db`].
pub async fn list(
    from: &impl Reads,
    state: JobState,
    kind: Option<JobKind>,
    page: PageRequest,
) -> Result<Page<JobView>> {
    // The state stands in the text of the query: a parameter would hide from SQLite which index fits.
    let mut filter = match state {
        JobState::Ready => format!("FROM jobs WHERE state = 0 AND {IS_NOT_HELD}"),
        JobState::Running => "FROM jobs WHERE state = 0 AND id IN (SELECT job_id FROM job_leases)".to_owned(),
        JobState::Done | JobState::Dead | JobState::Cancelled => format!("FROM jobs WHERE state = {}", state.as_i32()),
    };
    let mut values: Vec<Value> = Vec::new();
    if let Some(kind) = kind {
        filter.push_str(" AND kind = $1");
        values.push(kind.as_str().into());
    }
    let counting = format!("SELECT COUNT(*) AS n {filter}");
    let count = Count::find_by_statement(from.sql(&counting, values.clone()));
    let total = count.one(from.conn()).await?.map_or(0, |count| count.n);
    let sql = format!(
        "SELECT jobs.*, id IN (SELECT job_id FROM job_leases) AS is_held {filter} ORDER BY id DESC LIMIT {} OFFSET {}",
        page.limit, page.offset
    );
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    Ok(Page {
        data: views(from, rows).await?,
        request: page,
        total: u64::try_from(total).unwrap_or(0),
    })
}

async fn views(from: &impl Reads, rows: Vec<Row>) -> Result<Vec<JobView>> {
    let ids: Vec<JobId> = rows.iter().map(|row| row.job.id).collect();
    let mut last = last_attempts(from, &ids).await?;
    rows.into_iter()
        .map(|Row { job, is_held }| {
            let attempt = last.remove(&job.id);
            view(job, is_held, attempt)
        })
        .collect()
}

/// The newest attempt at each of some jobs; what receivers answered is not read.
async fn last_attempts(from: &impl Reads, ids: &[JobId]) -> Result<HashMap<JobId, Attempt>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let is_one = is_one_of(from.backend(), "job_id", "$1");
    let sql = format!("SELECT job_id, started_at, error FROM job_attempts WHERE {is_one} ORDER BY started_at, id");
    let ids = id_param(ids.iter().map(|job| job.0));
    let rows = Attempt::find_by_statement(from.sql(&sql, [ids]))
        .all(from.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (row.job_id, row)).collect())
}

fn view(row: job::Model, is_held: bool, last: Option<Attempt>) -> Result<JobView> {
    let state = JobState::stored(row.state, is_held)?;
    let (last_attempt_at, last_error) = match last {
        Some(attempt) => (Some(attempt.started_at), attempt.error),
        None => (None, None),
    };
    Ok(JobView {
        id: row.id,
        kind: row.kind,
        state,
        org_id: row.org_id,
        webhook_id: row.webhook_id,
        event_id: row.event_id,
        cause: row.cause,
        attempts: row.attempt + i32::from(state == JobState::Running),
        max_attempts: row.max_attempts,
        crashes: row.crashes,
        last_outcome: row.last_outcome,
        last_error,
        last_attempt_at,
        next_at: (state == JobState::Ready).then_some(row.next_at),
        created_at: row.created_at,
        done_at: row.done_at,
    })
}

/// Tries a job again that was given up, with as many tries as at first; whoever calls journals. Returns the job and its
/// payload.
///
/// # Errors
/// `not_found`; `conflict` for a job that was not given up, and for a delivery to a webhook that is switched off or gone.
pub async fn retry(tx: &WriteTx, id: JobId) -> Result<(JobView, String)> {
    let found = job::Entity::find_by_id(id)
        .one(tx.conn())
        .await?
        .ok_or_else(Problem::not_found)?;
    if let Some(webhook) = found.webhook_id {
        require_enabled(tx, webhook).await?;
    }
    let sql = "UPDATE jobs SET state = 0, attempt = 0, crashes = 0, next_at = $2, done_at = NULL
               WHERE id = $1 AND state = 3";
    let revived = tx
        .conn()
        .execute_raw(tx.sql(sql, [id.into(), tx.queue_now().into()]))
        .await?;
    if revived.rows_affected() == 0 {
        let detail = "Only a job that was given up can be tried again.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    tx.will_ring(found.lane.clone());
    let payload = found.payload.clone();
    let revived = job::Model {
        state: JobState::Ready.as_i32(),
        attempt: 0,
        crashes: 0,
        next_at: tx.queue_now(),
        done_at: None,
        ..found
    };
    let revived = Row {
        job: revived,
        is_held: false,
    };
    let mut shown = views(tx, vec![revived]).await?;
    let shown = shown.pop().ok_or_else(|| Error::internal("a job vanished"))?;
    Ok((shown, payload))
}

/// A delivery to a webhook that is switched off would wait for ever.
async fn require_enabled(tx: &WriteTx, webhook: WebhookId) -> Result<()> {
    let sql = "SELECT COUNT(*) AS n FROM webhooks WHERE id = $1 AND enabled AND deleted_at IS NULL";
    let count = Count::find_by_statement(tx.sql(sql, [webhook.into()]));
    if count.one(tx.conn()).await?.is_some_and(|count| count.n > 0) {
        return Ok(());
    }
    let detail = "The webhook is switched off or deleted. Switch it on first.";
    Err(Problem::new(ProblemCode::Conflict, detail).into())
}
