//! Lists, newest first.

use serde_json::Value;

use crate::fault::Fault;
use crate::objects;
use crate::world::{World, page};

/// Whether a parameter leaves an object in: one that was not given does.
fn is(param: &Value, value: &str) -> bool {
    param.as_str().is_none_or(|asked| asked == value)
}

/// `created` as an instant or as bounds.
fn created(param: &Value, at: i64) -> bool {
    let bound = |name: &str, holds: fn(i64, i64) -> bool| param[name].as_i64().is_none_or(|bound| holds(at, bound));
    match param {
        Value::Number(exact) => exact.as_i64() == Some(at),
        Value::Object(_) => {
            bound("gt", |at, bound| at > bound)
                && bound("gte", |at, bound| at >= bound)
                && bound("lt", |at, bound| at < bound)
                && bound("lte", |at, bound| at <= bound)
        }
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => true,
    }
}

impl World {
    /// Whom a list is asked of has to be there, or to have been.
    fn whose(&self, params: &Value) -> Result<(), Fault> {
        match params["customer"].as_str() {
            Some(id) if !self.customers.contains_key(id) => Err(Fault::missing("customer", id, "customer")),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn list_customers(&self, params: &Value) -> Result<Value, Fault> {
        let found = self
            .customers
            .values()
            .rev()
            .filter(|customer| !customer.deleted && created(&params["created"], customer.created))
            .filter(|customer| {
                let email = customer.fields.get("email").and_then(Value::as_str);
                is(&params["email"], email.unwrap_or_default())
            })
            .map(objects::customer);
        page(found.collect(), params, "/v1/customers")
    }

    pub(super) fn list_prices(&self, params: &Value) -> Result<Value, Fault> {
        let keys = params["lookup_keys"].as_array();
        if keys.is_some_and(|keys| keys.len() > 10) {
            return Err(Fault::param(
                "parameter_invalid",
                "lookup_keys",
                "You may specify up to 10 lookup keys.",
            ));
        }
        let found = self
            .prices
            .iter()
            .filter(|price| params["active"].as_bool().is_none_or(|active| active == price.active))
            .filter(|price| is(&params["product"], &price.product))
            .filter(|price| {
                keys.is_none_or(|keys| {
                    price
                        .lookup_key
                        .as_ref()
                        .is_some_and(|key| keys.contains(&Value::from(key.as_str())))
                })
            })
            .map(objects::price);
        page(found.collect(), params, "/v1/prices")
    }

    pub(super) fn list_sessions(&self, params: &Value) -> Result<Value, Fault> {
        self.whose(params)?;
        let found = self
            .sessions
            .values()
            .rev()
            .filter(|session| is(&params["customer"], &session.customer) && is(&params["status"], session.status))
            .filter(|session| {
                is(
                    &params["subscription"],
                    session.subscription.as_deref().unwrap_or_default(),
                )
            })
            .map(|session| self.session_json(session));
        page(found.collect(), params, "/v1/checkout/sessions")
    }

    pub(super) fn list_subscriptions(&self, params: &Value) -> Result<Value, Fault> {
        self.whose(params)?;
        let has_status = |status: &str| match params["status"].as_str() {
            None => status != "canceled" && status != "incomplete_expired",
            Some("all") => true,
            Some("ended") => status == "canceled" || status == "incomplete_expired",
            Some(asked) => asked == status,
        };
        let found = self
            .subscriptions
            .values()
            .rev()
            .filter(|it| is(&params["customer"], &it.customer) && is(&params["price"], &it.price))
            .filter(|it| has_status(&it.status) && created(&params["created"], it.created))
            .map(|it| self.subscription_json(it));
        page(found.collect(), params, "/v1/subscriptions")
    }

    pub(super) fn list_invoices(&self, params: &Value) -> Result<Value, Fault> {
        self.whose(params)?;
        let found = self
            .invoices
            .values()
            .rev()
            .filter(|it| is(&params["customer"], &it.customer) && is(&params["subscription"], &it.subscription))
            .filter(|it| is(&params["status"], it.status) && created(&params["created"], it.created))
            .map(|it| self.invoice_json(it));
        page(found.collect(), params, "/v1/invoices")
    }

    /// Those of the last 30 days, as Stripe lists them.
    pub(super) fn list_events(&self, params: &Value) -> Result<Value, Fault> {
        let types = params["types"].as_array();
        if types.is_some_and(|types| types.len() > 20) {
            let message = "You may specify up to 20 types.";
            return Err(Fault::param("parameter_invalid", "types", message));
        }
        let found = self
            .events
            .values()
            .rev()
            .filter(|event| event.created > self.now - 30 * crate::world::DAY)
            .filter(|event| is(&params["type"], &event.kind))
            .filter(|event| types.is_none_or(|types| types.contains(&Value::from(event.kind.as_str()))))
            .filter(|event| {
                let delivered = params["delivery_success"].as_bool();
                delivered.is_none_or(|delivered| delivered == event.delivered)
            })
            .filter(|event| created(&params["created"], event.created))
            .map(objects::event);
        page(found.collect(), params, "/v1/events")
    }
}
