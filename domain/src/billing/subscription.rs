//! The subscription of an organisation, as Stripe last said it is.

use sea_orm::EntityTrait;

use super::entity::subscription;
use super::standing::Status;
use crate::kernel::config::Plan;
use crate::kernel::id::OrgId;
use crate::kernel::{Reads, Result, Timestamp};

/// The subscription of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    pub stripe_id: String,
    pub status: Status,
    pub price_id: Option<String>,
    /// The plan that it entitles to now; `None` while its price is of no plan that we know.
    pub plan: Option<Plan>,
    pub quantity: Option<i64>,
    pub per_seat: bool,
    pub current_period_end: Option<Timestamp>,
    pub trial_end: Option<Timestamp>,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    pub cancel_at: Option<Timestamp>,
    /// When the oldest invoice that is not paid was made.
    pub past_due_since: Option<Timestamp>,
    /// Until when the plan goes on nevertheless.
    pub grace_until: Option<Timestamp>,
    pub(super) dunning_sent: i32,
    pub(super) trial_told_for: Option<Timestamp>,
}

pub(super) fn subscribed(row: subscription::Model) -> Subscribed {
    let subscription::Model {
        org_id: _,
        stripe_subscription_id,
        status,
        price_id,
        plan,
        quantity,
        per_seat,
        current_period_end,
        trial_end,
        cancel_at_period_end,
        cancel_at,
        past_due_since,
        grace_until,
        dunning_sent,
        trial_told_for,
        updated_at: _,
    } = row;
    Subscribed {
        stripe_id: stripe_subscription_id,
        status: Status::parse(&status),
        price_id,
        plan: plan.as_deref().and_then(Plan::parse),
        quantity,
        per_seat,
        current_period_end,
        trial_end,
        cancel_at_period_end,
        cancel_at,
        past_due_since,
        grace_until,
        dunning_sent,
        trial_told_for,
    }
}

/// The subscription that an organisation has or last had.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn of_org(from: &impl Reads, org: OrgId) -> Result<Option<Subscribed>> {
    let row = subscription::Entity::find_by_id(org).one(from.conn()).await?;
    Ok(row.map(subscribed))
}

/// Whether Stripe has said that nothing is charged any more: only then may an organisation be removed for good.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn is_settled(from: &impl Reads, org: OrgId) -> Result<bool> {
    let found = of_org(from, org).await?;
    Ok(found.is_none_or(|found| found.status.is_over()))
}
