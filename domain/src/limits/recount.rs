//! Holds the counters against what is there. They cannot drift by anything that this program does; what was changed
//! past it, or restored from elsewhere, is found here, put right and reported.

use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use super::counter::{self, Scope};
use super::key::{LimitKey, Reach};
use crate::kernel::id::{OrgId, ProjectId};
use crate::kernel::{Db, Reads, Result, WriteTx};

/// A counter that was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drift {
    pub scope: Scope,
    pub key: LimitKey,
    pub counted: i64,
    /// What is there.
    pub actual: i64,
}

/// Counters that this process has put right.
static REPAIRED: AtomicU64 = AtomicU64::new(0);

/// How many counters this process has put right since it started.
pub fn repaired() -> u64 {
    REPAIRED.load(Ordering::Relaxed)
}

/// What is there, one row a scope. `None` for what has no counter.
fn truth(key: LimitKey) -> Option<&'static str> {
    match key {
        LimitKey::Projects => Some(
            "SELECT x.org_id, x.org_id AS scope_id, COUNT(*) AS used FROM projects x
             WHERE x.deleted_at IS NULL GROUP BY x.org_id",
        ),
        LimitKey::EnvironmentsPerProject => Some(
            "SELECT x.org_id, x.project_id AS scope_id, COUNT(*) AS used FROM environments x
             WHERE x.deleted_at IS NULL GROUP BY x.org_id, x.project_id",
        ),
        LimitKey::SecretsPerProject => Some(
            "SELECT x.org_id, x.project_id AS scope_id, COUNT(*) AS used FROM secrets x
             JOIN environments e ON e.id = x.environment_id AND e.deleted_at IS NULL
             WHERE x.deleted_at IS NULL GROUP BY x.org_id, x.project_id",
        ),
        LimitKey::ServiceAccounts => {
            Some("SELECT x.org_id, x.org_id AS scope_id, COUNT(*) AS used FROM service_accounts x GROUP BY x.org_id")
        }
        LimitKey::Webhooks => Some(
            "SELECT x.org_id, x.org_id AS scope_id, COUNT(*) AS used FROM webhooks x
             WHERE x.deleted_at IS NULL GROUP BY x.org_id",
        ),
        LimitKey::Members
        | LimitKey::Tokens
        | LimitKey::Templates
        | LimitKey::AclRules
        | LimitKey::VersionsRetained
        | LimitKey::ApiRequestsMonth
        | LimitKey::RateLimitRpm
        | LimitKey::AuditRetentionDays => None,
    }
}

#[derive(FromQueryResult)]
struct Row {
    org_id: OrgId,
    scope_id: Uuid,
    counted: i64,
    actual: i64,
}

impl Row {
    fn drift(self, key: LimitKey) -> Drift {
        let Self {
            org_id,
            scope_id,
            counted,
            actual,
        } = self;
        let project = (key.reach() == Reach::Project).then_some(ProjectId(scope_id));
        Drift {
            scope: Scope { org: org_id, project },
            key,
            counted,
            actual,
        }
    }
}

/// The counters of a key that are not what is there; `only` narrows it to one scope.
async fn wrong(from: &impl Reads, key: LimitKey, only: Option<Scope>) -> Result<Vec<Drift>> {
    let Some(truth) = truth(key) else { return Ok(Vec::new()) };
    let narrowed = if only.is_some() { " AND a.scope_id = $2" } else { "" };
    // Counters of what is there, then counters of which nothing is there.
    let sql = format!(
        "SELECT a.org_id, a.scope_id, COALESCE(c.used, 0) AS counted, a.used AS actual FROM ({truth}) a
            LEFT JOIN usage_counters c ON c.org_id = a.org_id AND c.scope_id = a.scope_id AND c.resource = $1
            WHERE a.used <> COALESCE(c.used, 0){narrowed}
         UNION ALL
         SELECT a.org_id, a.scope_id, a.used AS counted, CAST(0 AS bigint) AS actual FROM usage_counters a
            LEFT JOIN ({truth}) t ON t.org_id = a.org_id AND t.scope_id = a.scope_id
            WHERE a.resource = $1 AND a.used <> 0 AND t.used IS NULL{narrowed}"
    );
    let mut values: Vec<sea_orm::Value> = vec![key.as_str().into()];
    values.extend(only.map(|scope| sea_orm::Value::from(scope.id())));
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    Ok(rows.into_iter().map(|row| row.drift(key)).collect())
}

/// Puts every counter right that is wrong; returns those that were.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn run(db: &Db) -> Result<Vec<Drift>> {
    let mut repaired = Vec::new();
    for key in LimitKey::ALL {
        for suspect in wrong(db, *key, None).await? {
            let tx = db.begin_write().await?;
            let found = repair(&tx, suspect).await?;
            tx.commit_bookkeeping().await?;
            repaired.extend(found);
        }
    }
    for Drift {
        scope,
        key,
        counted,
        actual,
    } in &repaired
    {
        let (org, scope) = (scope.org.to_string(), scope.id().to_string());
        tracing::warn!(
            org,
            scope,
            resource = key.as_str(),
            counted,
            actual,
            "a counter was wrong and was put right"
        );
    }
    REPAIRED.fetch_add(repaired.len() as u64, Ordering::Relaxed);
    Ok(repaired)
}

/// Looks once more with the counter's row taken: what seemed wrong may only have been under way.
async fn repair(tx: &WriteTx, suspect: Drift) -> Result<Option<Drift>> {
    let Drift { scope, key, .. } = suspect;
    counter::begin_with(tx, scope, key, 0).await?;
    let found = wrong(tx, key, Some(scope)).await?.into_iter().next();
    let Some(drift) = found else { return Ok(None) };
    let sql = "UPDATE usage_counters SET used = $4 WHERE org_id = $1 AND scope_id = $2 AND resource = $3";
    let values = [
        scope.org.into(),
        scope.id().into(),
        key.as_str().into(),
        drift.actual.into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(Some(drift))
}
