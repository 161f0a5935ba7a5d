//! Taking due jobs of several lanes at once.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use serde_json::json;
use uuid::Uuid;

use super::JobKind;
use super::gate::{Gates, Pass};
use super::lease::{self, IS_FREE, LEASE};
use crate::kernel::id::{EventId, JobId, OrgId, WebhookId};
use crate::kernel::lists::{id_param, text_param};
use crate::kernel::trace::TraceParent;
use crate::kernel::{Backend, Db, Reads, Result, Timestamp, WriteTx};

/// A job that this worker holds until its lease ends.
#[derive(Clone, Debug)]
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
    /// The span that made it; `None` when nobody traced that.
    pub traceparent: Option<TraceParent>,
    /// It must not begin earlier than this after the claim: the endpoint has a rate.
    pub wait: Duration,
    /// It is the one delivery that an open breaker lets through.
    pub is_trial: bool,
}

/// What a claim brought.
#[derive(Clone, Debug, Default)]
pub struct Claim {
    pub jobs: Vec<Claimed>,
    /// How each lane that was asked stands.
    pub lanes: HashMap<String, LaneNews>,
}

/// How a lane stands after a claim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneNews {
    pub claimed: u32,
    /// It gave as much as it was allowed to give: there may be more.
    pub may_have_more: bool,
    /// Nothing can be had before this has passed.
    pub held: Option<Duration>,
    /// It gives one job, and the next when the result of that is written.
    pub one_by_one: bool,
    /// Its jobs begin at times that the claim gives; one that comes too late must go back.
    pub is_timed: bool,
}

#[derive(FromQueryResult)]
struct Row {
    id: JobId,
    lane: String,
    org_id: Option<OrgId>,
    webhook_id: Option<WebhookId>,
    event_id: Option<EventId>,
    payload: String,
    attempt: i32,
    max_attempts: i32,
    crashes: i32,
    cause: String,
    created_at: Timestamp,
    traceparent: Option<String>,
    /// Not so when another worker was a moment faster.
    is_ours: bool,
}

impl Row {
    fn claimed(self, lease_id: Uuid, wait: Duration, is_trial: bool) -> Claimed {
        let Self {
            id,
            lane,
            org_id,
            webhook_id,
            event_id,
            payload,
            attempt,
            max_attempts,
            crashes,
            cause,
            created_at,
            traceparent,
            is_ours: _,
        } = self;
        Claimed {
            id,
            lane,
            org_id,
            webhook_id,
            event_id,
            payload,
            attempt,
            max_attempts,
            crashes,
            cause,
            created_at,
            lease_id,
            traceparent: traceparent.as_deref().and_then(TraceParent::parse),
            wait,
            is_trial,
        }
    }
}

/// What a worker is told of a job. The try that begins now is one more than those before.
const COLUMNS: &str =
    "jobs.id, jobs.lane, jobs.org_id, jobs.webhook_id, jobs.event_id, jobs.payload, jobs.attempt + 1 AS attempt,
     jobs.max_attempts, jobs.crashes, jobs.cause, jobs.created_at, jobs.traceparent";

/// Claims up to the wanted number of due jobs of each lane, oldest first, in one transaction. Jobs of a webhook that is
/// switched off, deleted, or paused by its breaker stay where they are and use up no attempt.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn claim(db: &Db, lanes: &[(String, u32)], worker: &str) -> Result<Claim> {
    if lanes.is_empty() {
        return Ok(Claim::default());
    }
    let tx = db.begin_write().await?;
    lease::claim_by_index(&tx).await?;
    let mut gates = Gates::open(&tx, lanes).await?;
    // Two workers hold the rows of endpoints in the same order: neither waits for the other.
    let mut sorted: Vec<&(String, u32)> = lanes.iter().collect();
    sorted.sort_unstable();
    let mut asked = Vec::with_capacity(lanes.len());
    for (lane, wanted) in sorted {
        asked.push((lane.as_str(), gates.pass(&tx, lane, *wanted).await?));
    }
    let lease = tx.rng().uuid(tx.now())?;
    let rows = take(&tx, &asked, lease, worker).await?;
    let claim = settle(&mut gates, &asked, lease, rows);
    gates.close(&tx, &claim).await?;
    tx.commit_bookkeeping().await?;
    Ok(claim)
}

/// Takes the jobs that may be had.
async fn take(tx: &WriteTx, asked: &[(&str, Pass)], lease: Uuid, worker: &str) -> Result<Vec<Row>> {
    let open = |is_ordered: bool| {
        let passes = asked
            .iter()
            .filter(|(_, pass)| pass.count > 0 && pass.is_ordered == is_ordered);
        passes.map(|(lane, pass)| (*lane, pass.count)).collect::<Vec<_>>()
    };
    let lease: [Value; 3] = [lease.into(), (tx.queue_now() + LEASE).into(), worker.into()];
    let mut rows = Vec::new();
    for (lanes, is_ordered) in [(open(false), false), (open(true), true)] {
        if lanes.is_empty() {
            continue;
        }
        rows.extend(match tx.backend() {
            Backend::Postgres => take_at_once(tx, &lanes, is_ordered, &lease).await?,
            Backend::Sqlite => take_by_count(tx, &lanes, is_ordered, &lease).await?,
        });
    }
    rows.sort_unstable_by_key(|row: &Row| row.id);
    Ok(rows)
}

/// Due jobs of a lane that nobody holds; `$1` is now.
fn oldest(columns: &str, lane: &str, n: &str) -> String {
    format!(
        "SELECT {columns} FROM jobs WHERE lane = {lane} AND state = 0 AND next_at <= $1 AND {IS_FREE}
         ORDER BY next_at, id LIMIT {n}"
    )
}

/// The condition that a job is the one of its lane whose event is the earliest of all that have not ended, and is due, and
/// nobody holds it. None passes it. The signs before the columns keep the indexes on them out: the job is found by its id.
fn is_head(lane: &str) -> String {
    format!(
        "jobs.id = (SELECT h.id FROM jobs h WHERE h.lane = {lane} AND h.state < 2 ORDER BY h.seq, h.id LIMIT 1)
         AND +jobs.state = 0 AND +jobs.next_at <= $1 AND {IS_FREE}"
    )
}

/// PostgreSQL: all lanes in one statement. Jobs that another worker is claiming are passed over. One that was claimed and
/// given up again since this statement began is either locked with what it has become, or its lease stands in the way of a
/// second.
async fn take_at_once(tx: &WriteTx, lanes: &[(&str, u32)], is_ordered: bool, lease: &[Value]) -> Result<Vec<Row>> {
    let wanted: Vec<_> = lanes.iter().map(|(lane, n)| json!({ "lane": lane, "n": n })).collect();
    let of_lane = if is_ordered {
        format!("SELECT {COLUMNS} FROM jobs WHERE {}", is_head("wanted.lane"))
    } else {
        oldest(COLUMNS, "wanted.lane", "wanted.n")
    };
    let sql = format!(
        "WITH due AS MATERIALIZED (
            SELECT job.* FROM json_to_recordset($5::json) AS wanted (lane text, n bigint)
            CROSS JOIN LATERAL ({of_lane} FOR NO KEY UPDATE OF jobs SKIP LOCKED) AS job),
         taken AS (
            INSERT INTO job_leases (job_id, lease_id, lease_until, worker, begun) SELECT id, $2, $3, $4, FALSE FROM due
            ON CONFLICT (job_id) DO NOTHING RETURNING job_id)
         SELECT due.*, taken.job_id IS NOT NULL AS is_ours FROM due LEFT JOIN taken ON taken.job_id = due.id"
    );
    let mut values = vec![tx.queue_now().into()];
    values.extend_from_slice(lease);
    values.push(json!(wanted).to_string().into());
    Ok(Row::find_by_statement(tx.sql(&sql, values)).all(tx.conn()).await?)
}

/// SQLite, under the one write lock that there is: all lanes of which as many are wanted in one statement. The cross join
/// keeps the order of its tables.
async fn take_by_count(tx: &WriteTx, lanes: &[(&str, u32)], is_ordered: bool, lease: &[Value]) -> Result<Vec<Row>> {
    let is_taken = if is_ordered {
        is_head("wanted.value")
    } else {
        let oldest = oldest("jobs.id", "wanted.value", "$3");
        format!("jobs.id IN ({oldest})")
    };
    let sql =
        format!("SELECT {COLUMNS}, TRUE AS is_ours FROM json_each($2) AS wanted CROSS JOIN jobs WHERE {is_taken}");
    let mut by_count: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (lane, n) in lanes {
        by_count.entry(*n).or_default().push(lane);
    }
    let mut rows = Vec::new();
    for (n, lanes) in by_count {
        let mut values = vec![tx.queue_now().into(), text_param(&lanes)];
        if !is_ordered {
            values.push(i64::from(n).into());
        }
        rows.extend(Row::find_by_statement(tx.sql(&sql, values)).all(tx.conn()).await?);
    }
    let sql = "INSERT INTO job_leases (job_id, lease_id, lease_until, worker, begun)
               SELECT unhex(value), $2, $3, $4, FALSE FROM json_each($1)";
    let mut values = vec![id_param(rows.iter().map(|row: &Row| row.id.0))];
    values.extend_from_slice(lease);
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(rows)
}

/// Tells each job when it may begin, and how each lane stands.
fn settle(gates: &mut Gates, asked: &[(&str, Pass)], lease: Uuid, rows: Vec<Row>) -> Claim {
    let passes: HashMap<&str, Pass> = asked.iter().copied().collect();
    let mut claim = Claim::default();
    let mut seen: HashMap<String, u32> = HashMap::new();
    for row in rows {
        *seen.entry(row.lane.clone()).or_default() += 1;
        if !row.is_ours {
            continue;
        }
        let pass = passes.get(row.lane.as_str()).copied().unwrap_or_default();
        let wait = gates.give(row.webhook_id);
        claim.lanes.entry(row.lane.clone()).or_default().claimed += 1;
        claim.jobs.push(row.claimed(lease, wait, pass.is_trial));
    }
    for (lane, pass) in asked {
        let news = claim.lanes.entry((*lane).to_owned()).or_default();
        let seen = seen.get(*lane).copied().unwrap_or_default();
        news.may_have_more = pass.count > 0 && seen >= pass.count;
        news.held = gates.held(lane, pass);
        news.one_by_one = pass.is_ordered || pass.is_trial;
        news.is_timed = pass.is_timed;
    }
    claim
}

/// Whether a lane has a job that is neither done nor given up.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn has_open(from: &impl Reads, kind: JobKind, lane: &str) -> Result<bool> {
    let lane = format!("{}{lane}", kind.lane_prefix());
    let sql = "SELECT 1 FROM jobs WHERE lane = $1 AND state < 2 LIMIT 1";
    let open = from.conn().query_one_raw(from.sql(sql, [lane.into()])).await?;
    Ok(open.is_some())
}

/// Whether a lane has a job that runs, or will be tried within this time.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn has_soon(tx: &WriteTx, kind: JobKind, lane: &str, within: Duration) -> Result<bool> {
    let lane = format!("{}{lane}", kind.lane_prefix());
    // One that runs was due when it was taken.
    let sql = "SELECT 1 FROM jobs WHERE lane = $1 AND state = 0 AND next_at <= $2 LIMIT 1";
    let values = [lane.into(), (tx.queue_now() + within).into()];
    let soon = tx.conn().query_one_raw(tx.sql(sql, values)).await?;
    Ok(soon.is_some())
}
