//! Billing against the double of Stripe: what it signs, the whole story of a subscription, and that no way of delivering
//! events leads to another plan than the one that is paid for.

mod any_delivery;
mod double;
mod off;
mod signatures;
mod story;

use harness::Answer;
use serde_json::Value;

/// One limit as an answer of billing shows it.
fn limit(billing: &Answer, key: &str) -> Value {
    let json = billing.json();
    let mut limits = json["limits"].as_array().into_iter().flatten();
    limits.find(|limit| limit["key"] == key).cloned().unwrap_or_default()
}
