//! What a smaller plan would mean, before anybody changes to it. Nothing is deleted by changing: what is too much
//! stays, and no more of it can be made.

use super::key::{Limit, LimitKey};
use super::resolve::{self, Effective};
use super::{freeze, usage};
use crate::kernel::config::Plan;
use crate::kernel::id::{OrgId, ProjectId};
use crate::kernel::{Reads, Result};

/// Something of which there would be too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    pub key: LimitKey,
    /// What the plan would allow.
    pub limit: Limit,
    pub used: u64,
    /// Of what is limited in each project: the one that has too much.
    pub project: Option<ProjectId>,
}

/// What changing to a plan would mean.
#[derive(Clone, Debug)]
pub struct Preview {
    pub plan: Plan,
    /// All limits that would be in force: what was set for the organisation stays.
    pub limits: Vec<Effective>,
    pub over: Vec<Over>,
    /// Projects in which nothing new could be written after 30 days, the newest first.
    pub frozen: Vec<ProjectId>,
}

/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn of(from: &impl Reads, org: OrgId, plan: Plan) -> Result<Preview> {
    let limits = resolve::of_org(from, org, plan).await?;
    let amounts = usage::amounts(from, org).await?;
    let mut over = Vec::new();
    for effective in &limits {
        let of_key = amounts.iter().filter(|amount| amount.key == effective.key);
        over.extend(
            of_key
                .filter(|amount| !effective.limit.allows(amount.used))
                .map(|amount| Over {
                    key: effective.key,
                    limit: effective.limit,
                    used: amount.used,
                    project: amount.project,
                }),
        );
    }
    let projects = limits.iter().find(|effective| effective.key == LimitKey::Projects);
    let frozen = match projects.map(|effective| effective.limit) {
        Some(Limit::Max(max)) => freeze::beyond(from, org, max).await?,
        Some(Limit::Unlimited) | None => Vec::new(),
    };
    Ok(Preview {
        plan,
        limits,
        over,
        frozen,
    })
}
