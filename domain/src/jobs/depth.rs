//! How much work waits, and for how long: what an alarm looks at.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::JobKind;
use super::lease::IS_NOT_HELD;
use crate::kernel::{Db, Reads, Result, Timestamp};

/// Jobs of one kind that are counted; more than that is many.
const COUNTED: i64 = 100_000;

/// What waits of one kind. Jobs that are held, by a breaker, a rate or an endpoint that is off, wait too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    pub kind: JobKind,
    /// Jobs that are due, 100,000 at most.
    pub ready: u64,
    /// How long the oldest of them has been due.
    pub oldest: Duration,
}

#[derive(FromQueryResult)]
struct Ready {
    n: i64,
}

/// Looks at every kind.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn depths(db: &Db) -> Result<Vec<Depth>> {
    let now = db.queue_now();
    let mut depths = Vec::with_capacity(JobKind::ALL.len());
    for kind in JobKind::ALL {
        let ready = ready(db, kind, now).await?;
        let due = if ready == 0 { None } else { oldest(db, kind).await? };
        depths.push(Depth {
            kind,
            ready,
            oldest: due.map_or(Duration::ZERO, |due| now.since(due)),
        });
    }
    Ok(depths)
}

/// Counted along the index of lanes, whose names begin with the kind.
async fn ready(db: &Db, kind: JobKind, now: Timestamp) -> Result<u64> {
    // Behind a colon comes a semicolon.
    let (from, to) = (kind.lane_prefix(), kind.lane_prefix().replace(':', ";"));
    let sql = format!(
        "SELECT COUNT(*) AS n FROM (
            SELECT 1 FROM jobs WHERE state = 0 AND lane >= $1 AND lane < $2 AND next_at <= $3 AND {IS_NOT_HELD} LIMIT $4) due"
    );
    let values = [from.into(), to.into(), now.into(), COUNTED.into()];
    let row = Ready::find_by_statement(db.sql(&sql, values)).one(db.conn()).await?;
    Ok(row.and_then(|row| u64::try_from(row.n).ok()).unwrap_or(0))
}

async fn oldest(db: &Db, kind: JobKind) -> Result<Option<Timestamp>> {
    let sql =
        format!("SELECT next_at FROM jobs WHERE state = 0 AND kind = $1 AND {IS_NOT_HELD} ORDER BY next_at LIMIT 1");
    let row = db.conn().query_one_raw(db.sql(&sql, [kind.as_str().into()])).await?;
    let at: Option<i64> = row.map(|row| row.try_get("", "next_at")).transpose()?;
    Ok(at.map(Timestamp))
}
