//! What makes the bell dispensable: every process looks for itself, once a second, at what is due and what was lost.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, EntityTrait, FromQueryResult};

use super::entity::attempt;
use super::gate::AT_ONCE;
use crate::kernel::id::JobId;
use crate::kernel::{Db, Reads, Result, Timestamp};

/// Workers that may die over one job before it is set aside.
pub const MAX_CRASHES: i32 = 5;

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
struct Lost {
    id: JobId,
    attempt: i32,
    crashes: i32,
    worker: Option<String>,
    /// The loss counts: it was under way, or it is the first.
    begun: bool,
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
                SELECT j.webhook_id FROM jobs j WHERE j.lane = lanes.lane AND j.state = 0 AND j.next_at <= $1
                ORDER BY j.next_at, j.id LIMIT 1) due
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
    let sql = "SELECT min(lease_until) AS at FROM jobs WHERE state = 1 AND lease_until < $1";
    let row = Earliest::find_by_statement(db.sql(sql, [now.into()]))
        .one(db.conn())
        .await?;
    Ok(row.and_then(|row| row.at).is_some())
}

async fn take_back(db: &Db) -> Result<usize> {
    let tx = db.begin_write().await?;
    // The first loss makes a job suspect. After that only those count in which it was under way: what a worker had claimed
    // besides is not to blame for its death.
    let sql = "UPDATE jobs SET
            state = CASE WHEN crashes + 1 >= $2 AND begun THEN 3 ELSE 0 END,
            done_at = CASE WHEN crashes + 1 >= $2 AND begun THEN $3 ELSE NULL END,
            crashes = crashes + CASE WHEN crashes = 0 OR begun THEN 1 ELSE 0 END,
            last_outcome = CASE WHEN crashes = 0 OR begun THEN 'worker_lost' ELSE last_outcome END,
            begun = crashes = 0 OR begun,
            attempt = attempt - 1, next_at = $1, lease_id = NULL, lease_until = NULL
        WHERE state = 1 AND lease_until < $1
        RETURNING id, attempt, crashes, worker, begun";
    let values = [tx.queue_now().into(), MAX_CRASHES.into(), tx.now().into()];
    let lost = Lost::find_by_statement(tx.sql(sql, values)).all(tx.conn()).await?;
    let mut rows = Vec::with_capacity(lost.len());
    for job in lost.iter().filter(|job| job.begun) {
        rows.push(attempt::ActiveModel {
            id: Set(tx.new_id()?),
            job_id: Set(job.id),
            n: Set(job.attempt + job.crashes),
            worker: Set(job.worker.clone().unwrap_or_default()),
            started_at: Set(tx.now()),
            outcome: Set("worker_lost".to_owned()),
            ..Default::default()
        });
    }
    if !rows.is_empty() {
        attempt::Entity::insert_many(rows)
            .exec_without_returning(tx.conn())
            .await?;
    }
    tx.commit_bookkeeping().await?;
    Ok(lost.len())
}
