//! Customers.

use serde_json::{Map, Value};

use super::merged;
use crate::fault::Fault;
use crate::objects;
use crate::world::{Customer, World};

/// What is kept as it was given.
fn kept(params: &Value) -> impl Iterator<Item = (String, Value)> {
    let given = params.as_object().into_iter().flatten();
    given
        .filter(|(name, _)| *name != "metadata" && *name != "expand")
        .map(|(name, value)| {
            // Empty text unsets.
            let value = if value == "" { Value::Null } else { value.clone() };
            (name.clone(), value)
        })
}

impl World {
    pub(super) fn create_customer(&mut self, params: &Value) -> Value {
        let customer = Customer {
            id: self.id("cus"),
            created: self.now,
            metadata: merged(Map::new(), &params["metadata"]),
            fields: kept(params).collect(),
            payment_method: None,
            card_works: true,
            deleted: false,
        };
        let shown = objects::customer(&customer);
        self.customers.insert(customer.id.clone(), customer);
        self.happened("customer.created", shown.clone(), None);
        shown
    }

    pub(super) fn update_customer(&mut self, id: &str, params: &Value) -> Result<Value, Fault> {
        let mut customer = self.customer(id, "id")?.clone();
        customer.metadata = merged(customer.metadata, &params["metadata"]);
        customer.fields.extend(kept(params));
        let shown = objects::customer(&customer);
        self.customers.insert(id.to_owned(), customer);
        self.happened("customer.updated", shown.clone(), None);
        Ok(shown)
    }

    pub(crate) fn delete_customer(&mut self, id: &str) -> Result<Value, Fault> {
        let shown = objects::customer(self.customer(id, "id")?);
        let live: Vec<String> = self
            .subscriptions
            .values()
            .filter(|it| it.customer == id && !it.is_over())
            .map(|it| it.id.clone())
            .collect();
        for subscription in live {
            self.end(&subscription, "canceled");
        }
        for session in self.sessions.values_mut() {
            if session.customer == id && session.status == "open" {
                session.status = "expired";
            }
        }
        let customer = self.customers.get_mut(id).expect("a customer that is there");
        customer.deleted = true;
        let answer = objects::customer(customer);
        self.happened("customer.deleted", shown, None);
        Ok(answer)
    }
}
