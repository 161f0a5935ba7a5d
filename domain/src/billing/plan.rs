//! The one way in which an organisation's plan follows what is paid for.

use crate::access::Origin;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::config::Plan;
use crate::kernel::id::OrgId;
use crate::kernel::{Result, WriteTx};
use crate::limits::plan::{self, PlanSource};
use crate::members::ownership;

/// Why a plan changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanReason {
    /// A subscription began, or is of another price.
    Subscription,
    /// Nothing is paid for any more: the subscription ended, or its grace is over.
    Ended,
}

impl PlanReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Ended => "ended",
        }
    }
}

/// Puts an organisation on the plan that is paid for and records that, if it is on another; tells whether it was. A plan
/// that an administrator of the instance set stays.
///
/// # Errors
/// `not_found` when the organisation is gone.
pub async fn apply_plan(tx: &WriteTx, origin: &Origin, org: OrgId, to: Plan, reason: PlanReason) -> Result<bool> {
    ownership::lock(tx, org).await?;
    let before = plan::standing(tx, org).await?;
    if before.plan == to || before.source == PlanSource::Admin {
        return Ok(false);
    }
    plan::set(tx, org, to, PlanSource::Subscription).await?;
    let entry = Entry::in_org(org, Action::BillingPlanChanged, Target::Org(org))
        .with("plan", to.as_str())
        .with("previous_plan", before.plan.as_str())
        .with("reason", reason.as_str());
    journal::record(tx, origin, entry).await?;
    Ok(true)
}
