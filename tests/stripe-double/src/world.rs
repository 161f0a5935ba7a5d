//! What Stripe knows: the objects, its clock, the events that happened.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::{Date, Month, OffsetDateTime};

use crate::fault::Fault;

pub(crate) const DAY: i64 = 86_400;

#[derive(Clone)]
pub(crate) struct Customer {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) metadata: Map<String, Value>,
    /// E-mail, name and whatever else was given.
    pub(crate) fields: Map<String, Value>,
    /// Set by the first checkout with a card.
    pub(crate) payment_method: Option<String>,
    pub(crate) card_works: bool,
    pub(crate) deleted: bool,
}

#[derive(Clone)]
pub(crate) struct Price {
    pub(crate) id: String,
    pub(crate) lookup_key: Option<String>,
    pub(crate) product: String,
    pub(crate) interval: String,
    pub(crate) amount: i64,
    pub(crate) active: bool,
    pub(crate) metadata: Map<String, Value>,
}

#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) created: i64,
    pub(crate) customer: String,
    pub(crate) price: String,
    pub(crate) quantity: u64,
    /// As it was asked for.
    pub(crate) params: Value,
    /// `open`, `complete`, `expired`.
    pub(crate) status: &'static str,
    pub(crate) payment_status: &'static str,
    pub(crate) subscription: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) item: String,
    pub(crate) customer: String,
    pub(crate) price: String,
    pub(crate) quantity: u64,
    pub(crate) status: String,
    pub(crate) created: i64,
    pub(crate) period: (i64, i64),
    pub(crate) trial_end: Option<i64>,
    pub(crate) trial_warned: bool,
    /// What becomes of a trial that ends without a card: `cancel`, `pause`, `create_invoice`.
    pub(crate) without_card: String,
    pub(crate) cancel_at_period_end: bool,
    pub(crate) cancel_at: Option<i64>,
    pub(crate) canceled_at: Option<i64>,
    pub(crate) ended_at: Option<i64>,
    pub(crate) latest_invoice: Option<String>,
    pub(crate) metadata: Map<String, Value>,
}

impl Subscription {
    /// Nothing happens to it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.status == "canceled" || self.status == "incomplete_expired"
    }
}

#[derive(Clone)]
pub(crate) struct Invoice {
    pub(crate) id: String,
    pub(crate) customer: String,
    pub(crate) subscription: String,
    pub(crate) created: i64,
    pub(crate) amount: i64,
    /// `open`, `paid`, `void`.
    pub(crate) status: &'static str,
    pub(crate) paid_at: Option<i64>,
    pub(crate) attempts: u32,
    pub(crate) next_attempt: Option<i64>,
    pub(crate) period: (i64, i64),
    pub(crate) reason: &'static str,
}

#[derive(Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) created: i64,
    pub(crate) livemode: bool,
    pub(crate) object: Value,
    pub(crate) previous: Option<Value>,
    pub(crate) delivered: bool,
}

/// Everything.
pub(crate) struct World {
    pub(crate) base: String,
    /// The time of what is happening.
    pub(crate) now: i64,
    /// What the clock was advanced by.
    pub(crate) offset: i64,
    /// What becomes of a subscription when the retries are used up.
    pub(crate) after_retries: String,
    pub(crate) prices: Vec<Price>,
    pub(crate) customers: BTreeMap<String, Customer>,
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) subscriptions: BTreeMap<String, Subscription>,
    pub(crate) invoices: BTreeMap<String, Invoice>,
    pub(crate) events: BTreeMap<String, Event>,
    /// Events that were not looked at for sending yet.
    pub(crate) fresh: Vec<String>,
    last_number: u64,
}

impl World {
    pub(crate) fn new(base: &str, now: i64) -> Self {
        Self {
            base: base.to_owned(),
            now,
            offset: 0,
            after_retries: "cancel".to_owned(),
            prices: first_prices(),
            customers: BTreeMap::new(),
            sessions: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            invoices: BTreeMap::new(),
            events: BTreeMap::new(),
            fresh: Vec::new(),
            last_number: 0,
        }
    }

    /// A new id; later ones sort after earlier ones.
    pub(crate) fn id(&mut self, prefix: &str) -> String {
        self.last_number += 1;
        format!("{prefix}_double{:08}", self.last_number)
    }

    /// Something happened that Stripe tells about.
    pub(crate) fn happened(&mut self, kind: &str, object: Value, previous: Option<Value>) -> String {
        let id = self.id("evt");
        let event = Event {
            id: id.clone(),
            kind: kind.to_owned(),
            created: self.now,
            livemode: false,
            object,
            previous,
            delivered: false,
        };
        self.events.insert(id.clone(), event);
        self.fresh.push(id.clone());
        id
    }

    pub(crate) fn customer(&self, id: &str, param: &str) -> Result<&Customer, Fault> {
        let found = self.customers.get(id).filter(|customer| !customer.deleted);
        found.ok_or_else(|| Fault::missing("customer", id, param))
    }

    /// By its id or by its lookup key.
    pub(crate) fn price(&self, name: &str, param: &str) -> Result<&Price, Fault> {
        let mut prices = self.prices.iter();
        let found = prices.find(|price| price.id == name || price.lookup_key.as_deref() == Some(name));
        found.ok_or_else(|| Fault::missing("price", name, param))
    }

    pub(crate) fn subscription(&self, id: &str, param: &str) -> Result<&Subscription, Fault> {
        let found = self.subscriptions.get(id);
        found.ok_or_else(|| Fault::missing("subscription", id, param))
    }

    /// Changes a subscription that is there.
    pub(crate) fn subscription_mut(&mut self, id: &str) -> &mut Subscription {
        self.subscriptions.get_mut(id).expect("a subscription of this id")
    }

    /// The open invoices of a subscription, oldest first.
    pub(crate) fn open_invoices(&self, subscription: &str) -> Vec<String> {
        let invoices = self.invoices.values();
        invoices
            .filter(|invoice| invoice.subscription == subscription && invoice.status == "open")
            .map(|invoice| invoice.id.clone())
            .collect()
    }

    /// Writes a subscription anew and tells what changed.
    pub(crate) fn update_subscription(&mut self, id: &str, change: impl FnOnce(&mut Subscription)) {
        let before = self.subscription_json(&self.subscriptions[id]);
        change(self.subscription_mut(id));
        let after = self.subscription_json(&self.subscriptions[id]);
        let changed = before.as_object().into_iter().flatten();
        let previous: Map<String, Value> = changed
            .filter(|(name, value)| after[name.as_str()] != **value)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !previous.is_empty() {
            self.happened("customer.subscription.updated", after, Some(Value::Object(previous)));
        }
    }
}

/// One month or year later, on the same day if there is one.
pub(crate) fn period_after(start: i64, interval: &str) -> i64 {
    let at = OffsetDateTime::from_unix_timestamp(start).expect("a time of this age");
    let (year, month) = match (interval, at.month()) {
        ("year", month) => (at.year() + 1, month),
        (_, Month::December) => (at.year() + 1, Month::January),
        (_, month) => (at.year(), month.next()),
    };
    let date = (1..=at.day())
        .rev()
        .find_map(|day| Date::from_calendar_date(year, month, day).ok())
        .expect("a month has days");
    at.replace_date(date).unix_timestamp()
}

fn first_prices() -> Vec<Price> {
    let mut prices = Vec::new();
    for (plan, monthly) in [("free", 0), ("team", 2_900), ("business", 9_900)] {
        for (name, interval, amount) in [("monthly", "month", monthly), ("yearly", "year", monthly * 10)] {
            prices.push(Price {
                id: format!("price_{plan}_{name}"),
                lookup_key: Some(format!("{plan}_{name}_v1")),
                product: format!("prod_{plan}"),
                interval: interval.to_owned(),
                amount,
                active: true,
                metadata: Map::new(),
            });
        }
    }
    prices
}

/// A page of a list, newest first, as Stripe's parameters ask.
pub(crate) fn page(mut found: Vec<Value>, params: &Value, url: &str) -> Result<Value, Fault> {
    let place = |cursor: &str| {
        let at = found.iter().position(|object| object["id"] == cursor);
        at.ok_or_else(|| Fault::missing("object", cursor, "starting_after"))
    };
    let limit = params["limit"].as_u64().unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(Fault::param(
            "parameter_invalid_integer",
            "limit",
            "Limit must be between 1 and 100",
        ));
    }
    let limit = usize::try_from(limit).expect("at most 100");
    let has_more = if let Some(cursor) = params["ending_before"].as_str() {
        // The page before the cursor, still newest first.
        let at = place(cursor)?;
        found.truncate(at);
        let more = found.len() > limit;
        found.drain(..found.len().saturating_sub(limit));
        more
    } else {
        if let Some(cursor) = params["starting_after"].as_str() {
            let at = place(cursor)?;
            found.drain(..=at);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        more
    };
    Ok(json!({ "object": "list", "url": url, "has_more": has_more, "data": found }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{page, period_after};

    #[test]
    fn periods_follow_the_calendar() {
        // 2030-01-31 12:00:00, 2030-02-28 12:00:00, 2031-01-31 12:00:00.
        assert_eq!(period_after(1_896_091_200, "month"), 1_898_510_400);
        assert_eq!(period_after(1_896_091_200, "year"), 1_927_627_200);
    }

    #[test]
    fn pages_go_both_ways() {
        let found: Vec<_> = ["e", "d", "c", "b", "a"].map(|id| json!({ "id": id })).into();
        let ids = |params: serde_json::Value| {
            let page = page(found.clone(), &params, "/v1/x").unwrap();
            let ids: Vec<String> = page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|object| object["id"].as_str().unwrap().to_owned())
                .collect();
            (ids.concat(), page["has_more"] == true)
        };
        assert_eq!(ids(json!({"limit": 2})), ("ed".to_owned(), true));
        assert_eq!(ids(json!({"limit": 2, "starting_after": "d"})), ("cb".to_owned(), true));
        assert_eq!(ids(json!({"limit": 2, "starting_after": "b"})), ("a".to_owned(), false));
        assert_eq!(ids(json!({"limit": 2, "ending_before": "b"})), ("dc".to_owned(), true));
        assert_eq!(ids(json!({"limit": 2, "ending_before": "d"})), ("e".to_owned(), false));
    }
}
