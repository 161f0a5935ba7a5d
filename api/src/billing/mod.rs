//! Billing through Stripe.

pub mod dto;
pub mod pages;
pub mod stripe_events;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (pages::BillingPagesApi, stripe_events::StripeEventsApi);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        pages::BillingPagesApi(app.clone()),
        stripe_events::StripeEventsApi(app.clone()),
    )
}
