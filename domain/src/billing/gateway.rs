//! What we ask of Stripe, in our own words. The crate `billing` asks it with Stripe's client; unit tests have answers of
//! their own. Nothing here is asked while a transaction is open.

use async_trait::async_trait;

use super::standing::Status;
use crate::kernel::{Error, Problem, ProblemCode, Timestamp};

/// What an answer from Stripe, or none, amounts to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GatewayError {
    /// It was not reached, was busy, or failed: the same can be asked again later.
    #[error("Stripe did not answer as it should: {0}")]
    Passing(String),
    /// There is no such thing at Stripe.
    #[error("Stripe knows nothing of it")]
    Missing,
    /// There is no such customer at Stripe, or not any more.
    #[error("Stripe has no such customer")]
    NoCustomer,
    /// It refuses what was asked. The text names codes and parameters, never values.
    #[error("Stripe refuses: {0}")]
    Refused(String),
}

pub type GatewayResult<T> = Result<T, GatewayError>;

impl From<GatewayError> for Error {
    fn from(error: GatewayError) -> Self {
        match error {
            GatewayError::Passing(why) => {
                tracing::warn!(why, "Stripe cannot be reached");
                let detail = "The payment provider cannot be reached. Nothing was changed; try again.";
                Problem::new(ProblemCode::Unavailable, detail)
                    .with("retry_after", 5)
                    .into()
            }
            GatewayError::Missing | GatewayError::NoCustomer | GatewayError::Refused(_) => {
                Self::internal(error.to_string())
            }
        }
    }
}

/// A price at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub id: String,
    /// `team_monthly_v1`; `None` once another price has it.
    pub lookup_key: Option<String>,
    /// Whether it can still be bought.
    pub active: bool,
    /// Whether its quantity is the number of the organisation's people: metadata `per_seat` = `true`.
    pub per_seat: bool,
    /// Days of the trial that a first subscription has: metadata `trial_days`.
    pub trial_days: Option<u32>,
}

/// One line of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    pub price: Price,
    pub quantity: Option<i64>,
    pub current_period_end: Timestamp,
}

/// A subscription at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub id: String,
    pub customer: String,
    pub status: Status,
    pub created: Timestamp,
    pub items: Vec<Item>,
    pub cancel_at_period_end: bool,
    pub cancel_at: Option<Timestamp>,
    pub trial_end: Option<Timestamp>,
    /// Our marks in its metadata.
    pub org_id: Option<String>,
    pub deployment: Option<String>,
}

/// A customer to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCustomer {
    pub name: String,
    pub org_id: String,
    pub deployment: String,
}

/// A hosted page on which a subscription is bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCheckout {
    pub customer: String,
    pub org_id: String,
    pub deployment: String,
    pub price_id: String,
    pub quantity: i64,
    pub trial_days: Option<u32>,
    pub success_url: String,
    pub cancel_url: String,
}

/// Another number of seats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatChange {
    pub subscription: String,
    pub item: String,
    pub quantity: i64,
    /// Whether the rest of the period is charged for: for more seats it is, for fewer nothing is paid back.
    pub prorate: bool,
}

/// An event that Stripe has, as its list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedEvent {
    pub id: String,
    pub kind: String,
    pub api_version: Option<String>,
    pub livemode: bool,
    /// Seconds since the epoch.
    pub created: i64,
    /// JSON of what it is about.
    pub object: String,
}

/// A page of a list, and whether there is more behind its last entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed<T> {
    pub data: Vec<T>,
    pub has_more: bool,
}

/// Stripe. Every change carries a key under which it is made once, however often it is asked for.
#[async_trait]
pub trait BillingGateway: Send + Sync {
    /// Whether real money moves.
    fn is_live(&self) -> bool;

    /// Makes a customer; its id.
    async fn create_customer(&self, customer: NewCustomer, key: &str) -> GatewayResult<String>;

    /// Every subscription that a customer has or had.
    async fn subscriptions(&self, customer: &str) -> GatewayResult<Vec<Subscription>>;

    /// A page of the subscriptions of all customers that have not ended, those behind `after`.
    async fn live_subscriptions(&self, after: Option<&str>) -> GatewayResult<Listed<Subscription>>;

    /// When the oldest invoice of a subscription that waits to be paid was made.
    async fn oldest_open_invoice(&self, subscription: &str) -> GatewayResult<Option<Timestamp>>;

    /// A page of the recurring prices, those behind `after`.
    async fn prices(&self, after: Option<&str>) -> GatewayResult<Listed<Price>>;

    /// Makes a page to buy on; its address.
    async fn create_checkout(&self, checkout: NewCheckout, key: &str) -> GatewayResult<String>;

    /// Makes a page to manage a subscription on; its address, good for minutes.
    async fn create_portal(&self, customer: &str, return_url: &str) -> GatewayResult<String>;

    /// Sets the number of seats.
    async fn set_quantity(&self, change: SeatChange, key: &str) -> GatewayResult<()>;

    /// Ends a subscription now.
    async fn cancel(&self, subscription: &str, key: &str) -> GatewayResult<()>;

    /// A page of the events of some types whose delivery has failed so far, newest first, those behind `after`.
    async fn undelivered_events(&self, kinds: &[&str], after: Option<&str>) -> GatewayResult<Listed<ListedEvent>>;
}
