//! Whether this instance sells plans: carried by the database handle as time and chance are, because what a limit
//! answers depends on it.

use super::config::Plan;

/// How this instance charges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Billing {
    /// Whether there is a payment service.
    pub is_enabled: bool,
    /// The plan on which an organisation begins.
    pub first_plan: Plan,
}

impl Billing {
    /// Nothing is sold, and nothing is limited.
    pub const OFF: Self = Self {
        is_enabled: false,
        first_plan: Plan::SelfHosted,
    };
}
