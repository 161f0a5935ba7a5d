//! Subscriptions and their items.

use serde_json::Value;

use super::merged;
use crate::fault::Fault;
use crate::world::{Subscription, World};

impl World {
    pub(super) fn change_subscription(&mut self, id: &str, params: &Value) -> Result<Value, Fault> {
        let mut changed = self.alive(id)?.clone();
        for item in params["items"].as_array().into_iter().flatten() {
            if item["id"] != changed.item.as_str() {
                return Err(Fault::missing(
                    "subscription item",
                    item["id"].as_str().unwrap_or_default(),
                    "items[0][id]",
                ));
            }
            self.apply_item(&mut changed, item)?;
        }
        if let Some(at_period_end) = params["cancel_at_period_end"].as_bool() {
            changed.end_with_period(at_period_end, self.now);
        }
        match &params["cancel_at"] {
            Value::Number(at) => {
                changed.cancel_at = at.as_i64();
                changed.canceled_at = Some(self.now);
            }
            Value::String(text) if text.is_empty() => changed.end_with_period(false, self.now),
            Value::String(_) => changed.cancel_at = Some(changed.period.1),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {}
        }
        changed.metadata = merged(changed.metadata, &params["metadata"]);
        self.update_subscription(id, |subscription| *subscription = changed);
        Ok(self.subscription_json(&self.subscriptions[id]))
    }

    pub(super) fn change_item(&mut self, item: &str, params: &Value) -> Result<Value, Fault> {
        let found = self
            .subscriptions
            .values()
            .find(|subscription| subscription.item == item);
        let mut changed = found
            .cloned()
            .ok_or_else(|| Fault::missing("subscription_item", item, "id"))?;
        self.alive(&changed.id)?;
        self.apply_item(&mut changed, params)?;
        let id = changed.id.clone();
        self.update_subscription(&id, |subscription| *subscription = changed);
        Ok(self.item_json(&self.subscriptions[&id]))
    }

    /// Ends it now. One that is over is not there for this.
    pub(super) fn cancel_subscription(&mut self, id: &str) -> Result<Value, Fault> {
        if self.subscription(id, "id")?.is_over() {
            return Err(Fault::missing("subscription", id, "id"));
        }
        self.end(id, "canceled");
        Ok(self.subscription_json(&self.subscriptions[id]))
    }

    fn alive(&self, id: &str) -> Result<&Subscription, Fault> {
        let found = self.subscription(id, "id")?;
        if found.is_over() {
            return Err(Fault::request(
                "A canceled subscription can only update its cancellation_details and metadata.",
            ));
        }
        Ok(found)
    }

    fn apply_item(&self, subscription: &mut Subscription, item: &Value) -> Result<(), Fault> {
        if let Some(price) = item["price"].as_str() {
            subscription.price.clone_from(&self.price(price, "items[0][price]")?.id);
        }
        if let Some(quantity) = item["quantity"].as_u64() {
            subscription.quantity = quantity;
        }
        Ok(())
    }
}

impl Subscription {
    /// Ends with its period, or no longer.
    pub(crate) fn end_with_period(&mut self, ends: bool, now: i64) {
        self.cancel_at_period_end = ends;
        self.cancel_at = ends.then_some(
            self.trial_end
                .filter(|_| self.status == "trialing")
                .unwrap_or(self.period.1),
        );
        self.canceled_at = ends.then_some(now);
    }
}
