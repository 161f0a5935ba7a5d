//! Billing, without Stripe and against the double of it: buying and managing, what it signs and says, the whole story of a
//! subscription, and that no way of delivering events leads to another plan than the one that is paid for.

mod any_delivery;
mod by_hand;
mod checkout;
mod disabled;
mod double;
mod off;
mod portal;
mod reminders;
mod signatures;
mod story;
mod webhook;

use harness::Answer;
use serde_json::Value;

/// One limit as an answer of billing shows it.
fn limit(billing: &Answer, key: &str) -> Value {
    let json = billing.json();
    let mut limits = json["limits"].as_array().into_iter().flatten();
    limits.find(|limit| limit["key"] == key).cloned().unwrap_or_default()
}
