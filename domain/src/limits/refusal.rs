//! What somebody is told who asks for more than the plan allows: enough for a program to act on.

use super::key::{Limit, LimitKey};
use super::resolve::{self, Effective};
use crate::kernel::config::Plan;
use crate::kernel::id::OrgId;
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx};

/// How much too much it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excess {
    pub(super) key: LimitKey,
    /// What there is already.
    pub(super) used: u64,
    /// How many more were asked for.
    pub(super) requested: u64,
}

/// The problem `plan_limit_exceeded`, or the fault that kept it from being told.
pub(super) async fn exceeded(tx: &WriteTx, org: OrgId, excess: Excess) -> Error {
    problem(tx, org, excess, "This would be more than the plan allows.")
        .await
        .map_or_else(|fault| fault, Error::from)
}

/// The problem of a change in a project that is one of too many, or the fault that kept it from being told.
pub async fn frozen(tx: &WriteTx, org: OrgId) -> Error {
    let told = async {
        let used = super::counter::used(tx, super::counter::Scope::org(org), LimitKey::Projects).await?;
        let excess = Excess {
            key: LimitKey::Projects,
            used: u64::try_from(used).unwrap_or(0),
            requested: 0,
        };
        let detail = "The organisation has had more projects than its plan allows for 30 days, and this is one of the newest: \
                      nothing new is written in it. Reading, deleting, exporting and rotating keys go on.";
        problem(tx, org, excess, detail).await
    };
    told.await.map_or_else(|fault| fault, Error::from)
}

async fn problem(tx: &WriteTx, org: OrgId, excess: Excess, detail: &'static str) -> Result<Problem> {
    let Excess { key, used, requested } = excess;
    let (plan, Effective { limit, source, .. }) = resolve::one(tx, org, key).await?;
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let problem = Problem::new(ProblemCode::PlanLimitExceeded, detail)
        .with("limit", key.as_str())
        .with("max", limit.to_number())
        .with("used", number(used))
        .with("requested", number(requested))
        .with("plan", plan.as_str())
        .with("source", source.as_str());
    if !tx.billing().is_enabled {
        // There is nothing to buy: whoever runs the instance set the limit.
        return Ok(problem.with("status", 403));
    }
    Ok(match upgrade(tx, plan, key, used.saturating_add(requested)).await? {
        Some(larger) => problem.with("upgrade_to", larger.as_str()),
        None => problem,
    })
}

/// The smallest larger plan on which so many are allowed.
async fn upgrade(from: &impl Reads, plan: Plan, key: LimitKey, wanted: u64) -> Result<Option<Plan>> {
    let table = super::plans::all(from).await?;
    let larger = Plan::OFFERED.into_iter().skip_while(|offered| *offered != plan).skip(1);
    for offered in larger {
        let limits = table.iter().find(|row| row.plan == offered);
        let limit = limits.and_then(|row| row.limits.iter().find(|effective| effective.key == key));
        if limit
            .map_or(Limit::Unlimited, |effective| effective.limit)
            .allows(wanted)
        {
            return Ok(Some(offered));
        }
    }
    Ok(None)
}
