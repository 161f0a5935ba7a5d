//! The table of plans, and what administrators of the instance set in it.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::key::{Limit, LimitKey};
use super::resolve::{Effective, Levels};
use crate::access::Caller;
use crate::admin::Superuser;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::config::Plan;
use crate::kernel::{Problem, Reads, Result, WriteTx};

/// A plan with what it allows.
#[derive(Clone, Debug)]
pub struct PlanLimits {
    pub plan: Plan,
    /// One for each key.
    pub limits: Vec<Effective>,
}

#[derive(FromQueryResult)]
struct Row {
    plan: String,
    key: String,
    value: i64,
}

/// Every plan, the smallest first.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn all(from: &impl Reads) -> Result<Vec<PlanLimits>> {
    let sql = "SELECT plan, key, value FROM plan_limits WHERE ended_at IS NULL";
    let rows = Row::find_by_statement(from.sql(sql, [])).all(from.conn()).await?;
    let said = |plan: Plan, key: LimitKey| {
        let mut rows = rows.iter();
        let row = rows.find(|row| row.plan == plan.as_str() && row.key == key.as_str())?;
        Limit::from_number(row.value)
    };
    let limits = |plan: Plan| {
        let effective = |key: &LimitKey| {
            let levels = Levels {
                of_org: None,
                of_plan: said(plan, *key),
            };
            levels.resolve(*key, plan)
        };
        LimitKey::ALL.iter().map(effective).collect()
    };
    let plan = |plan: Plan| PlanLimits {
        plan,
        limits: limits(plan),
    };
    Ok(Plan::ALL.into_iter().map(plan).collect())
}

/// What a plan allows.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn of(from: &impl Reads, plan: Plan) -> Result<PlanLimits> {
    let found = all(from).await?.into_iter().find(|row| row.plan == plan);
    found.ok_or_else(|| crate::kernel::Error::internal("a plan that is in no table"))
}

/// The plan of a name in a path.
///
/// # Errors
/// `not_found`.
pub fn named(name: &str) -> Result<Plan> {
    Ok(Plan::parse(name).ok_or_else(Problem::not_found)?)
}

/// Sets what a plan allows: the keys that are named; the others have what is built in again. It holds from the next
/// change on, and for the organisations that are on the plan already.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn put(
    tx: &WriteTx,
    caller: &Caller,
    by: &Superuser,
    plan: Plan,
    limits: &[(LimitKey, Limit)],
) -> Result<PlanLimits> {
    store(tx, plan, limits).await?;
    let set: serde_json::Map<String, serde_json::Value> = limits
        .iter()
        .map(|(key, limit)| (key.as_str().to_owned(), limit.to_number().into()))
        .collect();
    // It concerns no single organisation: it stands in the security log of whoever did it.
    let entry = Entry::of_account(by.user(), Action::PlanLimitsSet, Target::User(by.user()))
        .with("plan", plan.as_str())
        .with("limits", set);
    journal::record(tx, &caller.origin, entry).await?;
    of(tx, plan).await
}

/// A limit that is set to what it is goes on as of when it was set. One that is not named any more has ended, and it is
/// kept when: whoever has more than what counts then has their time.
async fn store(tx: &WriteTx, plan: Plan, limits: &[(LimitKey, Limit)]) -> Result<()> {
    let named: Vec<String> = limits.iter().map(|(key, _)| format!("'{}'", key.as_str())).collect();
    let others = if named.is_empty() {
        String::new()
    } else {
        format!(" AND key NOT IN ({})", named.join(", "))
    };
    let sql = format!("UPDATE plan_limits SET ended_at = $2 WHERE plan = $1 AND ended_at IS NULL{others}");
    let values = [plan.as_str().into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(&sql, values)).await?;
    let sql = "INSERT INTO plan_limits (plan, key, value, updated_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (plan, key) DO UPDATE SET value = excluded.value, ended_at = NULL,
            updated_at = CASE WHEN plan_limits.value = excluded.value AND plan_limits.ended_at IS NULL
                THEN plan_limits.updated_at ELSE excluded.updated_at END";
    for (key, limit) in limits {
        let values = [
            plan.as_str().into(),
            key.as_str().into(),
            limit.to_number().into(),
            tx.now().into(),
        ];
        tx.conn().execute_raw(tx.sql(sql, values)).await?;
    }
    Ok(())
}
