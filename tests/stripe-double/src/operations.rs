//! The operations of Stripe's API that Strongroom may use.

mod checkout;
mod customers;
mod lists;
mod subscriptions;

use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::objects;
use crate::world::World;

/// One of them, with what its path names.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    CreateCustomer,
    ListCustomers,
    ReadCustomer(String),
    UpdateCustomer(String),
    DeleteCustomer(String),
    ListPrices,
    ReadPrice(String),
    CreateSession,
    ListSessions,
    ReadSession(String),
    ExpireSession(String),
    OpenPortal,
    ListSubscriptions,
    ReadSubscription(String),
    UpdateSubscription(String),
    CancelSubscription(String),
    UpdateItem(String),
    ListInvoices,
    ReadInvoice(String),
    ListEvents,
    ReadEvent(String),
}

impl Operation {
    /// Which one a request is for.
    pub(crate) fn find(method: &str, path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let id = || parts.get(1).copied().unwrap_or_default().to_owned();
        let found = match (method, parts.as_slice()) {
            ("POST", ["customers"]) => Self::CreateCustomer,
            ("GET", ["customers"]) => Self::ListCustomers,
            ("GET", ["customers", _]) => Self::ReadCustomer(id()),
            ("POST", ["customers", _]) => Self::UpdateCustomer(id()),
            ("DELETE", ["customers", _]) => Self::DeleteCustomer(id()),
            ("GET", ["prices"]) => Self::ListPrices,
            ("GET", ["prices", _]) => Self::ReadPrice(id()),
            ("POST", ["checkout", "sessions"]) => Self::CreateSession,
            ("GET", ["checkout", "sessions"]) => Self::ListSessions,
            ("GET", ["checkout", "sessions", id]) => Self::ReadSession((*id).to_owned()),
            ("POST", ["checkout", "sessions", id, "expire"]) => Self::ExpireSession((*id).to_owned()),
            ("POST", ["billing_portal", "sessions"]) => Self::OpenPortal,
            ("GET", ["subscriptions"]) => Self::ListSubscriptions,
            ("GET", ["subscriptions", _]) => Self::ReadSubscription(id()),
            ("POST", ["subscriptions", _]) => Self::UpdateSubscription(id()),
            ("DELETE", ["subscriptions", _]) => Self::CancelSubscription(id()),
            ("POST", ["subscription_items", _]) => Self::UpdateItem(id()),
            ("GET", ["invoices"]) => Self::ListInvoices,
            ("GET", ["invoices", _]) => Self::ReadInvoice(id()),
            ("GET", ["events"]) => Self::ListEvents,
            ("GET", ["events", _]) => Self::ReadEvent(id()),
            _ => return None,
        };
        Some(found)
    }

    /// The schema that its parameters obey.
    pub(crate) fn schema(&self) -> &'static str {
        match self {
            Self::CreateCustomer => "customer_create",
            Self::UpdateCustomer(_) => "customer_update",
            Self::ListCustomers => "customer_list",
            Self::ListPrices => "price_list",
            Self::CreateSession => "checkout_session_create",
            Self::ListSessions => "checkout_session_list",
            Self::OpenPortal => "portal_session_create",
            Self::ListSubscriptions => "subscription_list",
            Self::UpdateSubscription(_) => "subscription_update",
            Self::CancelSubscription(_) => "subscription_cancel",
            Self::UpdateItem(_) => "subscription_item_update",
            Self::ListInvoices => "invoice_list",
            Self::ListEvents => "event_list",
            Self::ReadCustomer(_)
            | Self::DeleteCustomer(_)
            | Self::ReadPrice(_)
            | Self::ReadSession(_)
            | Self::ExpireSession(_)
            | Self::ReadSubscription(_)
            | Self::ReadInvoice(_)
            | Self::ReadEvent(_) => "retrieve",
        }
    }

    /// Whether a POST of it has to name an idempotency key: a portal session is opened anew each time.
    pub(crate) fn needs_key(&self) -> bool {
        !matches!(self, Self::OpenPortal)
    }
}

impl World {
    /// Does it. The parameters have been judged.
    pub(crate) fn perform(&mut self, operation: &Operation, params: &Value) -> Result<Value, Fault> {
        let mut answer = match operation {
            Operation::CreateCustomer => Ok(self.create_customer(params)),
            Operation::ListCustomers => self.list_customers(params),
            Operation::ReadCustomer(id) => {
                let found = self.customers.get(id);
                found
                    .map(objects::customer)
                    .ok_or_else(|| Fault::missing("customer", id, "id"))
            }
            Operation::UpdateCustomer(id) => self.update_customer(id, params),
            Operation::DeleteCustomer(id) => self.delete_customer(id),
            Operation::ListPrices => self.list_prices(params),
            Operation::ReadPrice(id) => self.price(id, "id").map(objects::price),
            Operation::CreateSession => self.create_session(params),
            Operation::ListSessions => self.list_sessions(params),
            Operation::ReadSession(id) => self.read_session(id),
            Operation::ExpireSession(id) => {
                self.session_that_is_open(id)?;
                self.expire_session(id);
                self.read_session(id)
            }
            Operation::OpenPortal => self.open_portal(params),
            Operation::ListSubscriptions => self.list_subscriptions(params),
            Operation::ReadSubscription(id) => self.subscription(id, "id").map(|it| self.subscription_json(it)),
            Operation::UpdateSubscription(id) => self.change_subscription(id, params),
            Operation::CancelSubscription(id) => self.cancel_subscription(id),
            Operation::UpdateItem(id) => self.change_item(id, params),
            Operation::ListInvoices => self.list_invoices(params),
            Operation::ReadInvoice(id) => {
                let found = self.invoices.get(id);
                found
                    .map(|invoice| self.invoice_json(invoice))
                    .ok_or_else(|| Fault::missing("invoice", id, "id"))
            }
            Operation::ListEvents => self.list_events(params),
            Operation::ReadEvent(id) => {
                let found = self.events.get(id);
                found
                    .map(objects::event)
                    .ok_or_else(|| Fault::missing("event", id, "id"))
            }
        }?;
        for path in params["expand"].as_array().into_iter().flatten() {
            let path: Vec<&str> = path.as_str().unwrap_or_default().split('.').collect();
            self.expand(&mut answer, &path)?;
        }
        Ok(answer)
    }

    /// Puts the object where its id stands.
    fn expand(&self, at: &mut Value, path: &[&str]) -> Result<(), Fault> {
        let Some((first, rest)) = path.split_first() else {
            return Ok(());
        };
        if let Value::Array(items) = at {
            return items.iter_mut().try_for_each(|item| self.expand(item, path));
        }
        let Some(found) = at.get_mut(*first) else {
            let message = format!("This property cannot be expanded ({first}).");
            return Err(Fault::param("property_not_expandable", "expand", message));
        };
        if let Some(object) = found.as_str().and_then(|id| self.object(id)) {
            *found = object;
        }
        if rest.is_empty() || found.is_null() {
            return Ok(());
        }
        self.expand(found, rest)
    }

    /// Any object by its id.
    fn object(&self, id: &str) -> Option<Value> {
        if id.starts_with("prod_") {
            return Some(objects::product(id));
        }
        let customers = self.customers.get(id).map(objects::customer);
        let subscriptions = || self.subscriptions.get(id).map(|found| self.subscription_json(found));
        let invoices = || self.invoices.get(id).map(|found| self.invoice_json(found));
        let prices = || self.price(id, "id").ok().map(objects::price);
        let methods = || {
            let mut customers = self.customers.values();
            customers
                .find(|customer| customer.payment_method.as_deref() == Some(id))
                .map(objects::payment_method)
        };
        customers
            .or_else(subscriptions)
            .or_else(invoices)
            .or_else(methods)
            .or_else(prices)
    }
}

/// Metadata after a change: an empty value takes a name away.
fn merged(mut metadata: Map<String, Value>, change: &Value) -> Map<String, Value> {
    if change == "" {
        return Map::new();
    }
    for (name, value) in change.as_object().into_iter().flatten() {
        if value == "" {
            metadata.shift_remove(name);
        } else {
            metadata.insert(name.clone(), value.clone());
        }
    }
    metadata
}
