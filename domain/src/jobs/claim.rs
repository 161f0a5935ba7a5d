//! Taking due jobs of several lanes at once.

use std::fmt::Write as _;
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use uuid::Uuid;

use super::JobKind;
use crate::kernel::id::{EventId, JobId, OrgId, WebhookId};
use crate::kernel::{Backend, Db, Reads, Result, Timestamp, WriteTx};

/// How long a claim holds. A run ends within 20 s by a hard wall and its result is written within seconds, so the
/// lease needs no renewal; work that takes longer renews it, see [`renew`].
pub const LEASE: Duration = Duration::from_mins(1);

/// A job that this worker holds until its lease ends.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Claimed {
    pub id: JobId,
    pub lane: String,
    pub org_id: Option<OrgId>,
    pub webhook_id: Option<WebhookId>,
    pub event_id: Option<EventId>,
    pub payload: String,
    /// Which try this is, from 1.
    pub attempt: i32,
    pub max_attempts: i32,
    pub crashes: i32,
    pub cause: String,
    pub created_at: Timestamp,
    /// Fences: only the holder of this lease may finish the job.
    pub lease_id: Uuid,
}

const RETURNING: &str =
    "id, lane, org_id, webhook_id, event_id, payload, attempt, max_attempts, crashes, cause, created_at, lease_id";

/// Jobs of a webhook that is switched off or deleted stay where they are and use up no attempt.
const HELD: &str = "(webhook_id IS NULL OR EXISTS (SELECT 1 FROM webhooks w WHERE w.id = webhook_id AND w.enabled AND w.deleted_at IS NULL))";

/// Claims up to the wanted number of due jobs of each lane, oldest first, in one transaction.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn claim(db: &Db, lanes: &[(String, u32)], worker: &str) -> Result<Vec<Claimed>> {
    if lanes.is_empty() {
        return Ok(Vec::new());
    }
    let tx = db.begin_write().await?;
    let claimed = match db.backend() {
        Backend::Postgres => claim_at_once(&tx, lanes, worker).await?,
        Backend::Sqlite => claim_one_by_one(&tx, lanes, worker).await?,
    };
    tx.commit_bookkeeping().await?;
    Ok(claimed)
}

fn lease(tx: &WriteTx, worker: &str) -> Result<Vec<Value>> {
    Ok(vec![
        tx.rng().uuid(tx.now())?.into(),
        (tx.now() + LEASE).into(),
        worker.into(),
        tx.now().into(),
    ])
}

const SET: &str = "UPDATE jobs SET state = 1, attempt = attempt + 1, lease_id = $1, lease_until = $2, worker = $3";

/// PostgreSQL: all lanes in one statement; rows that another worker is claiming are passed over.
async fn claim_at_once(tx: &WriteTx, lanes: &[(String, u32)], worker: &str) -> Result<Vec<Claimed>> {
    let mut values = lease(tx, worker)?;
    let mut wanted = String::new();
    for (lane, n) in lanes {
        let separator = if wanted.is_empty() { "" } else { ", " };
        let _ = write!(wanted, "{separator}(${}, ${})", values.len() + 1, values.len() + 2);
        values.push(lane.as_str().into());
        values.push(i64::from(*n).into());
    }
    let sql = format!(
        "{SET} WHERE id IN (SELECT due.id FROM (VALUES {wanted}) AS wanted (lane, n) CROSS JOIN LATERAL (
            SELECT id FROM jobs WHERE lane = wanted.lane AND state = 0 AND next_at <= $4 AND {HELD}
            ORDER BY next_at, id LIMIT wanted.n FOR UPDATE SKIP LOCKED) AS due)
         RETURNING {RETURNING}"
    );
    Ok(Claimed::find_by_statement(tx.sql(&sql, values)).all(tx.conn()).await?)
}

/// SQLite: a statement a lane, under the one write lock that there is.
async fn claim_one_by_one(tx: &WriteTx, lanes: &[(String, u32)], worker: &str) -> Result<Vec<Claimed>> {
    let sql = format!(
        "{SET} WHERE id IN (SELECT id FROM jobs WHERE lane = $5 AND state = 0 AND next_at <= $4 AND {HELD}
            ORDER BY next_at, id LIMIT $6)
         RETURNING {RETURNING}"
    );
    let lease = lease(tx, worker)?;
    let mut claimed = Vec::new();
    for (lane, n) in lanes {
        let mut values = lease.clone();
        values.push(lane.as_str().into());
        values.push(i64::from(*n).into());
        claimed.extend(Claimed::find_by_statement(tx.sql(&sql, values)).all(tx.conn()).await?);
    }
    Ok(claimed)
}

/// Whether a lane has a job that is neither done nor given up.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn has_open(from: &impl Reads, kind: JobKind, lane: &str) -> Result<bool> {
    let lane = format!("{}{lane}", kind.lane_prefix());
    let sql =
        "SELECT 1 FROM jobs WHERE lane = $1 AND state = 0 UNION ALL SELECT 1 FROM jobs WHERE lane = $1 AND state = 1";
    let open = from.conn().query_one_raw(from.sql(sql, [lane.into()])).await?;
    Ok(open.is_some())
}

/// Holds a claim for as long again, for work that takes longer than one lease. Tells whether it is still ours.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn renew(db: &Db, job: &Claimed) -> Result<bool> {
    let tx = db.begin_write().await?;
    let sql = "UPDATE jobs SET lease_until = $3 WHERE id = $1 AND lease_id = $2 AND state = 1";
    let values = [job.id.into(), job.lease_id.into(), (tx.now() + LEASE).into()];
    let held = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok(held.rows_affected() > 0)
}

/// Gives back jobs that were claimed and not begun, as if they had never been claimed.
///
/// # Errors
/// [`crate::kernel::Error::Db`]; then their leases run out instead.
pub async fn release(db: &Db, jobs: &[Claimed]) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let tx = db.begin_write().await?;
    for job in jobs {
        let sql = "UPDATE jobs SET state = 0, attempt = attempt - 1, lease_id = NULL, lease_until = NULL
                   WHERE id = $1 AND lease_id = $2 AND state = 1";
        tx.conn()
            .execute_raw(tx.sql(sql, [job.id.into(), job.lease_id.into()]))
            .await?;
    }
    tx.commit_bookkeeping().await?;
    Ok(())
}
