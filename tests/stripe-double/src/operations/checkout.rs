//! Checkout and portal sessions.

use serde_json::Value;

use crate::fault::Fault;
use crate::objects;
use crate::world::{Session, World};

impl World {
    pub(super) fn create_session(&mut self, params: &Value) -> Result<Value, Fault> {
        if params["mode"] != "subscription" {
            return Err(Fault::param(
                "parameter_invalid",
                "mode",
                "This double sells subscriptions only.",
            ));
        }
        if params["success_url"].as_str().is_none() {
            return Err(Fault::param(
                "parameter_missing",
                "success_url",
                "Missing required param: success_url.",
            ));
        }
        let Some(customer) = params["customer"].as_str() else {
            return Err(Fault::param(
                "parameter_missing",
                "customer",
                "This double sells to known customers only.",
            ));
        };
        self.customer(customer, "customer")?;
        let items = params["line_items"].as_array().map_or(&[][..], Vec::as_slice);
        let [item] = items else {
            return Err(Fault::param(
                "parameter_invalid",
                "line_items",
                "This double sells one price at a time.",
            ));
        };
        let name = item["price"].as_str().unwrap_or_default();
        let price = self.price(name, "line_items[0][price]")?;
        // A lookup key is no id.
        if price.id != name {
            return Err(Fault::missing("price", name, "line_items[0][price]"));
        }
        if !price.active {
            return Err(Fault::param(
                "resource_missing",
                "line_items[0][price]",
                format!("The price specified is inactive: {name}"),
            ));
        }
        let Some(quantity) = item["quantity"].as_u64().filter(|quantity| *quantity > 0) else {
            return Err(Fault::param(
                "parameter_invalid_integer",
                "line_items[0][quantity]",
                "Quantity is required and must be at least 1.",
            ));
        };
        let (customer, price) = (customer.to_owned(), name.to_owned());
        let session = Session {
            id: self.id("cs_test"),
            created: self.now,
            customer,
            price,
            quantity,
            params: params.clone(),
            status: "open",
            payment_status: "unpaid",
            subscription: None,
        };
        let shown = self.session_json(&session);
        self.sessions.insert(session.id.clone(), session);
        Ok(shown)
    }

    pub(super) fn read_session(&self, id: &str) -> Result<Value, Fault> {
        let found = self.sessions.get(id);
        found
            .map(|session| self.session_json(session))
            .ok_or_else(|| Fault::missing("checkout.session", id, "id"))
    }

    pub(crate) fn session_that_is_open(&self, id: &str) -> Result<&Session, Fault> {
        let session = self
            .sessions
            .get(id)
            .ok_or_else(|| Fault::missing("checkout.session", id, "id"))?;
        if session.status == "open" {
            return Ok(session);
        }
        Err(Fault::request(format!(
            "Only Checkout Sessions with a status in [\"open\"] can be changed. This one is {}.",
            session.status
        )))
    }

    pub(super) fn open_portal(&mut self, params: &Value) -> Result<Value, Fault> {
        let Some(customer) = params["customer"].as_str() else {
            return Err(Fault::param(
                "parameter_missing",
                "customer",
                "Missing required param: customer.",
            ));
        };
        self.customer(customer, "customer")?;
        let flow = &params["flow_data"]["subscription_cancel"]["subscription"];
        if let Some(subscription) = flow.as_str() {
            self.subscription(subscription, "flow_data[subscription_cancel][subscription]")?;
        }
        let id = self.id("bps");
        let url = format!("{}/_portal/{customer}", self.base);
        Ok(objects::portal(&id, customer, self.now, &url, params))
    }
}
