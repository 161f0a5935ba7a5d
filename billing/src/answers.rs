//! What Stripe answers, in the words of `domain::billing`.

use std::collections::HashMap;

use domain::billing::gateway::{Item, ListedEvent, Price, Subscription};
use domain::billing::standing::Status;
use domain::kernel::Timestamp;

/// Names in the metadata of what we make at Stripe.
pub(crate) const ORG_ID: &str = "org_id";
pub(crate) const DEPLOYMENT: &str = "deployment_id";
/// Names in the metadata of prices, set by whoever sells.
const PER_SEAT: &str = "per_seat";
const TRIAL_DAYS: &str = "trial_days";

/// Seconds of Stripe's as an instant.
pub(crate) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds.saturating_mul(1_000_000))
}

/// The metadata of what we make.
pub(crate) fn marks(org_id: String, deployment: String) -> HashMap<String, String> {
    HashMap::from([(ORG_ID.to_owned(), org_id), (DEPLOYMENT.to_owned(), deployment)])
}

pub(crate) fn price(found: &stripe_product::Price) -> Price {
    let metadata = &found.metadata;
    Price {
        id: found.id.as_str().to_owned(),
        lookup_key: found.lookup_key.clone(),
        active: found.active,
        per_seat: metadata.get(PER_SEAT).is_some_and(|text| text == "true"),
        trial_days: metadata
            .get(TRIAL_DAYS)
            .and_then(|text| text.parse().ok())
            .filter(|days| *days > 0),
    }
}

fn item(found: &stripe_billing::SubscriptionItem) -> Item {
    Item {
        id: found.id.as_str().to_owned(),
        price: price(&found.price),
        quantity: found.quantity.and_then(|quantity| i64::try_from(quantity).ok()),
        current_period_end: instant(found.current_period_end),
    }
}

pub(crate) fn subscription(found: &stripe_billing::Subscription) -> Subscription {
    Subscription {
        id: found.id.as_str().to_owned(),
        customer: found.customer.id().as_str().to_owned(),
        status: Status::parse(found.status.as_str()),
        created: instant(found.created),
        items: found.items.data.iter().map(item).collect(),
        cancel_at_period_end: found.cancel_at_period_end,
        cancel_at: found.cancel_at.map(instant),
        trial_end: found.trial_end.map(instant),
        org_id: found.metadata.get(ORG_ID).cloned(),
        deployment: found.metadata.get(DEPLOYMENT).cloned(),
    }
}

pub(crate) fn event(found: &stripe_core::Event) -> ListedEvent {
    ListedEvent {
        id: found.id.as_str().to_owned(),
        kind: found.type_.as_str().to_owned(),
        api_version: found.api_version.clone(),
        livemode: found.livemode,
        created: found.created,
        object: miniserde::json::to_string(&found.data.object),
    }
}
