//! Billing as the API shows it.

use domain::billing::price;
use poem_openapi::{Enum, Object};

/// How often a plan is paid for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum BillingInterval {
    /// Every month.
    #[default]
    Monthly,
    /// Every year.
    Yearly,
}

impl From<BillingInterval> for price::Interval {
    fn from(interval: BillingInterval) -> Self {
        match interval {
            BillingInterval::Monthly => Self::Monthly,
            BillingInterval::Yearly => Self::Yearly,
        }
    }
}

/// A plan to be bought.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewCheckoutSession {
    /// Name of the plan: `team`.
    pub plan: String,
    /// How often it is paid for; `monthly` if absent.
    #[oai(default)]
    pub interval: BillingInterval,
}

/// A page of Stripe's.
#[derive(Clone, Debug, Object)]
pub struct BillingPage {
    /// Where to send the person; it leads back to this instance. Whoever has it can use it: do not keep it.
    pub url: String,
}

/// An event was taken in.
#[derive(Clone, Debug, Object)]
pub struct StripeEventReceived {
    /// Always true. An event that came before is taken in once.
    pub received: bool,
}
