//! Counters: how many there are of what lasts until somebody takes it away. Whoever makes one more counts it first, in
//! the same transaction and on the condition that the limit allows it, so that two at once cannot both be the last.
//!
//! Order of locks, which keeps two transactions from waiting for each other: rows of organisations, projects and
//! environments that are there already; then counters in the order of [`LimitKey`]; the ledger last.

use sea_orm::{ConnectionTrait, FromQueryResult, Value};
use uuid::Uuid;

use super::key::LimitKey;
use super::refusal::{Excess, exceeded};
use super::resolve::sql_of;
use crate::kernel::id::{OrgId, ProjectId};
use crate::kernel::{Backend, Error, Reads, Result, Rows, WriteTx};

/// What a counter counts in: an organisation, or one of its projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    pub org: OrgId,
    pub project: Option<ProjectId>,
}

impl Scope {
    pub const fn org(org: OrgId) -> Self {
        Self { org, project: None }
    }

    pub const fn project(org: OrgId, project: ProjectId) -> Self {
        Self {
            org,
            project: Some(project),
        }
    }

    /// The project, or else the organisation.
    pub fn id(self) -> Uuid {
        self.project.map_or(self.org.0, |project| project.0)
    }
}

#[derive(FromQueryResult)]
pub(super) struct Used {
    pub(super) used: i64,
}

/// Counts more of something if the limit allows it: `$1` is the organisation, `$2` now, `$3` the scope, `$4` the
/// resource, `$5` how many more. No row comes back from it when the limit does not.
fn reserving(key: LimitKey) -> String {
    // The limit is looked up by the statement that counts: it is the one of this very moment, and costs no round trip.
    let limit = sql_of(key, "$2");
    let most = i64::MAX;
    let room = format!(
        "(SELECT CASE WHEN x.l < 0 THEN {most} ELSE x.l END FROM (SELECT {limit} AS l FROM orgs o WHERE o.id = $1) x)"
    );
    format!(
        "INSERT INTO usage_counters (org_id, scope_id, resource, used)
         SELECT o.id, $3, $4, $5 FROM orgs o WHERE o.id = $1 AND $5 <= {room}
         ON CONFLICT (org_id, scope_id, resource) DO UPDATE SET used = usage_counters.used + excluded.used
         WHERE usage_counters.used + excluded.used <= {room}
         RETURNING used"
    )
}

/// Gives some back: `$1` is the organisation, `$2` the scope, `$3` the resource, `$4` how many fewer. A counter that
/// was too low is put right by the recount, and nobody's deletion fails over it.
const RELEASING: &str = "UPDATE usage_counters SET used = CASE WHEN used < $4 THEN 0 ELSE used - $4 END
    WHERE org_id = $1 AND scope_id = $2 AND resource = $3";

fn reserved(tx: &WriteTx, scope: Scope, key: LimitKey, more: i64) -> Vec<Value> {
    vec![
        scope.org.into(),
        tx.now().into(),
        scope.id().into(),
        key.as_str().into(),
        more.into(),
    ]
}

fn released(scope: Scope, key: LimitKey, fewer: i64) -> Vec<Value> {
    vec![scope.org.into(), scope.id().into(), key.as_str().into(), fewer.into()]
}

/// Why nothing was counted.
async fn refused(tx: &WriteTx, scope: Scope, key: LimitKey, more: i64) -> Error {
    let used = match used(tx, scope, key).await {
        Ok(used) => used,
        Err(fault) => return fault,
    };
    let excess = Excess {
        key,
        used: u64::try_from(used).unwrap_or(0),
        requested: u64::try_from(more).unwrap_or(0),
    };
    exceeded(tx, scope.org, excess).await
}

/// Counts `more` of something if the limit allows it. One statement, which holds the counter until the transaction
/// ends.
///
/// # Errors
/// `plan_limit_exceeded`; the transaction must be given up then.
pub async fn reserve(tx: &WriteTx, scope: Scope, key: LimitKey, more: i64) -> Result<()> {
    if more <= 0 {
        return Ok(());
    }
    let statement = tx.sql(&reserving(key), reserved(tx, scope, key, more));
    match Used::find_by_statement(statement).one(tx.conn()).await? {
        Some(_) => Ok(()),
        None => Err(refused(tx, scope, key, more).await),
    }
}

/// Counts what is not limited where it begins: the environments that every project comes with.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn begin_with(tx: &WriteTx, scope: Scope, key: LimitKey, count: i64) -> Result<()> {
    let sql = "INSERT INTO usage_counters (org_id, scope_id, resource, used) VALUES ($1, $2, $3, $4)
        ON CONFLICT (org_id, scope_id, resource) DO UPDATE SET used = usage_counters.used + excluded.used";
    let values = [scope.org.into(), scope.id().into(), key.as_str().into(), count.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Gives back what was taken away. Always allowed, however much is left.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn release(tx: &WriteTx, scope: Scope, key: LimitKey, fewer: i64) -> Result<()> {
    if fewer <= 0 {
        return Ok(());
    }
    tx.conn()
        .execute_raw(tx.sql(RELEASING, released(scope, key, fewer)))
        .await?;
    Ok(())
}

/// Counts more or fewer: a change that adds as much as it takes away is no growth.
///
/// # Errors
/// As [`reserve`].
pub async fn adjust(tx: &WriteTx, scope: Scope, key: LimitKey, by: i64) -> Result<()> {
    if by > 0 {
        reserve(tx, scope, key, by).await
    } else {
        release(tx, scope, key, by.saturating_neg()).await
    }
}

/// Rows that a change inserts anyway; few, and one at least.
pub struct Inserted {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Value>>,
}

impl Inserted {
    fn into_rows(self) -> Rows {
        let Self { table, columns, rows } = self;
        let column = |all: Rows, (n, name): (usize, &&'static str)| {
            all.each(name, rows.iter().filter_map(|row| row.get(n).cloned()))
        };
        columns.iter().enumerate().fold(Rows::of(table, rows.len()), column)
    }
}

/// Counts as [`adjust`] does, along with rows that are inserted anyway: on PostgreSQL one row is the same round trip. On
/// SQLite, where a statement changes one table and none makes a round trip, they are two.
///
/// # Errors
/// As [`reserve`].
pub async fn adjust_along(tx: &WriteTx, scope: Scope, key: LimitKey, by: i64, inserted: Inserted) -> Result<()> {
    if by == 0 || inserted.rows.len() > 1 || tx.backend() == Backend::Sqlite {
        adjust(tx, scope, key, by).await?;
        return inserted.into_rows().insert(tx, "").await;
    }
    let Inserted { table, columns, rows } = inserted;
    let (counting, mut bound, source) = if by > 0 {
        // Nothing is counted, nothing is inserted.
        (reserving(key), reserved(tx, scope, key, by), " FROM counted")
    } else {
        (RELEASING.to_owned(), released(scope, key, by.saturating_neg()), "")
    };
    let first = bound.len() + 1;
    let marks: Vec<_> = (first..first + columns.len()).map(|n| format!("${n}")).collect();
    let (marks, columns) = (marks.join(", "), columns.join(", "));
    let sql = format!("WITH counted AS ({counting}) INSERT INTO {table} ({columns}) SELECT {marks}{source}");
    bound.extend(rows.into_iter().flatten());
    let inserted = tx.conn().execute_raw(tx.sql(&sql, bound)).await?;
    if inserted.rows_affected() == 0 {
        return Err(refused(tx, scope, key, by).await);
    }
    Ok(())
}

/// How many a counter says there are.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn used(from: &impl Reads, scope: Scope, key: LimitKey) -> Result<i64> {
    let sql = "SELECT used FROM usage_counters WHERE org_id = $1 AND scope_id = $2 AND resource = $3";
    let values = [scope.org.into(), scope.id().into(), key.as_str().into()];
    let row = Used::find_by_statement(from.sql(sql, values)).one(from.conn()).await?;
    Ok(row.map_or(0, |row| row.used))
}
