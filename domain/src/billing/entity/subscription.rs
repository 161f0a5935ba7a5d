//! The subscription of an organisation, as Stripe last said it is.

use sea_orm::entity::prelude::*;

use crate::kernel::Timestamp;
use crate::kernel::id::OrgId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "billing_subscriptions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub org_id: OrgId,
    pub stripe_subscription_id: String,
    pub status: String,
    pub price_id: Option<String>,
    /// The plan that it entitles to now.
    pub plan: Option<String>,
    pub quantity: Option<i64>,
    pub per_seat: bool,
    pub current_period_end: Option<Timestamp>,
    pub trial_end: Option<Timestamp>,
    pub cancel_at_period_end: bool,
    pub cancel_at: Option<Timestamp>,
    /// When the oldest invoice that is not paid was made.
    pub past_due_since: Option<Timestamp>,
    pub grace_until: Option<Timestamp>,
    /// Reminders that were sent since `past_due_since`.
    pub dunning_sent: i32,
    /// The end of the trial that people were told of.
    pub trial_told_for: Option<Timestamp>,
    pub updated_at: Timestamp,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
