//! The one way in which an organisation's plan changes.

use crate::access::Origin;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::OrgId;
use crate::kernel::{Result, WriteTx};
use crate::orgs::plan;

/// The plan of whoever pays nothing.
pub const FREE: &str = "free";

/// Why a plan changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanReason {
    /// A subscription began, or is of another price.
    Subscription,
    /// Nothing is paid for any more: the subscription ended, or its grace is over.
    Ended,
    /// An administrator of the instance decided so.
    Administrator,
}

impl PlanReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Ended => "ended",
            Self::Administrator => "administrator",
        }
    }
}

/// Puts an organisation on a plan and records that, if it is on another; tells whether it was.
///
/// # Errors
/// `not_found` when the organisation is gone.
pub async fn apply_plan(tx: &WriteTx, origin: &Origin, org: OrgId, name: &str, reason: PlanReason) -> Result<bool> {
    let Some(before) = plan::set(tx, org, name).await? else {
        return Ok(false);
    };
    let entry = Entry::in_org(org, Action::BillingPlanChanged, Target::Org(org))
        .with("plan", name)
        .with("previous_plan", before)
        .with("reason", reason.as_str());
    journal::record(tx, origin, entry).await?;
    Ok(true)
}
