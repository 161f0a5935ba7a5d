//! The control plane: what makes things happen, and what shows what happened. README.md lists it.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::delivery::Manner;
use crate::dispatch::{Failure, Kind};
use crate::fault::Fault;
use crate::objects;
use crate::server::{Inner, State};
use crate::world::{DAY, Price, World};

/// Every command.
pub(crate) const NAMES: [&str; 23] = [
    "add_price",
    "advance",
    "after_retries",
    "complete_checkout",
    "decline_next",
    "delete_customer",
    "delivery",
    "dispute",
    "emit",
    "expire_checkout",
    "fail_next",
    "fail_payment",
    "make_event",
    "portal_cancel",
    "portal_resume",
    "portal_switch",
    "recover_payment",
    "requests",
    "reset",
    "set_status",
    "settle",
    "webhook",
    "world",
];

impl Inner {
    pub(crate) async fn control(self: &Arc<Self>, name: &str, body: &Value) -> Result<Value, Fault> {
        match name {
            "emit" => self.emit(body).await,
            "advance" => {
                let by = |name: &str| body[name].as_i64().unwrap_or(0);
                let seconds = by("days") * DAY + by("hours") * 3_600 + by("seconds");
                self.with(|state| state.world.offset += seconds);
                Ok(self.with(|state| json!({ "now": state.world.now })))
            }
            "webhook" => {
                let url = text(body, "url").ok().and_then(|url| url::Url::parse(url).ok());
                self.set_endpoint(url.ok_or_else(|| Fault::request("url: where webhooks go"))?);
                Ok(json!({}))
            }
            "reset" => {
                self.with(|state| self.reset(state));
                Ok(json!({}))
            }
            name => self.with(|state| command(state, name, body)),
        }
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, Fault> {
    body[name]
        .as_str()
        .ok_or_else(|| Fault::param("parameter_missing", name, format!("The command needs {name}.")))
}

fn flag(body: &Value, name: &str, default: bool) -> bool {
    body[name].as_bool().unwrap_or(default)
}

/// The subscription that a command is about.
fn subject(world: &World, body: &Value) -> Result<String, Fault> {
    if let Some(id) = body["subscription"].as_str() {
        return world.subscription(id, "subscription").map(|found| found.id.clone());
    }
    let customer = body["customer"].as_str();
    let mut all = world
        .subscriptions
        .values()
        .rev()
        .filter(|it| customer.is_none_or(|customer| it.customer == customer));
    let live = all.clone().find(|it| !it.is_over()).or_else(|| all.next());
    live.map(|found| found.id.clone())
        .ok_or_else(|| Fault::request("There is no such subscription."))
}

/// The session that a command is about: the one named, or the newest that is open.
fn session(world: &World, body: &Value) -> Result<String, Fault> {
    if let Some(id) = body["session"].as_str() {
        return Ok(id.to_owned());
    }
    let mut all = world.sessions.values().rev();
    all.find(|session| session.status == "open")
        .map(|session| session.id.clone())
        .ok_or_else(|| Fault::request("There is no open checkout session."))
}

pub(crate) fn command(state: &mut State, name: &str, body: &Value) -> Result<Value, Fault> {
    match name {
        "delivery" => state.manner = Manner::parse(body)?,
        "fail_next" => fail_next(state, body)?,
        "requests" => {
            let since = body["since"].as_u64().unwrap_or(0);
            let later = state.log.iter().filter(|entry| entry["number"].as_u64() > Some(since));
            return Ok(json!({ "requests": later.collect::<Vec<_>>() }));
        }
        "world" => return Ok(dump(&state.world)),
        _ => return change(&mut state.world, name, body),
    }
    Ok(json!({}))
}

fn fail_next(state: &mut State, body: &Value) -> Result<(), Fault> {
    let name = match &body["kind"] {
        Value::Number(number) => number.to_string(),
        kind => kind.as_str().unwrap_or_default().to_owned(),
    };
    let kind = Kind::parse(&name).ok_or_else(|| Fault::request(format!("no kind of failure: {name}")))?;
    let times = body["times"].as_u64().unwrap_or(1);
    if times == 0 {
        state.failures.clear();
    }
    for _ in 0..times {
        state.failures.push_back(Failure {
            kind,
            prefix: body["path"].as_str().unwrap_or("/v1/").to_owned(),
        });
    }
    Ok(())
}

fn change(world: &mut World, name: &str, body: &Value) -> Result<Value, Fault> {
    match name {
        "complete_checkout" => {
            let id = session(world, body)?;
            let outcome = body["outcome"].as_str().unwrap_or("paid");
            return world.complete_checkout(&id, flag(body, "card", true), outcome);
        }
        "settle" => world.settle(text(body, "session")?, flag(body, "paid", true))?,
        "expire_checkout" => {
            let id = session(world, body)?;
            world.session_that_is_open(&id)?;
            world.expire_session(&id);
        }
        "delete_customer" => return world.delete_customer(text(body, "customer")?),
        "after_retries" => text(body, "outcome")?.clone_into(&mut world.after_retries),
        "add_price" => add_price(world, body)?,
        "make_event" => {
            let (kind, object) = (text(body, "type")?.to_owned(), body["object"].clone());
            let id = world.happened(&kind, object, None);
            if let Some(event) = world.events.get_mut(&id) {
                event.livemode = flag(body, "livemode", false);
            }
            return Ok(json!({ "event": id }));
        }
        _ => {
            let id = subject(world, body)?;
            with_subscription(world, name, &id, body)?;
            return Ok(world.subscription_json(&world.subscriptions[&id]));
        }
    }
    Ok(json!({}))
}

fn with_subscription(world: &mut World, name: &str, id: &str, body: &Value) -> Result<(), Fault> {
    let now = world.now;
    if NAMES.contains(&name) && world.subscriptions[id].is_over() && !matches!(name, "dispute" | "set_status") {
        return Err(Fault::request(format!("The subscription {id} is over.")));
    }
    match name {
        "fail_payment" => world.card(id, false, true),
        "decline_next" => world.card(id, false, false),
        "recover_payment" => world.card(id, true, true),
        "portal_cancel" if flag(body, "at_period_end", true) => {
            let bare = flag(body, "as_cancel_at", false);
            world.update_subscription(id, |subscription| {
                subscription.end_with_period(true, now);
                subscription.cancel_at_period_end = !bare;
            });
        }
        "portal_cancel" => world.end(id, "canceled"),
        "portal_resume" => world.update_subscription(id, |subscription| subscription.end_with_period(false, now)),
        "portal_switch" => world.switch(id, text(body, "price")?, body["quantity"].as_u64())?,
        "dispute" => {
            let customer = world.subscriptions[id].customer.clone();
            world.dispute(&customer, flag(body, "closed", false));
        }
        "set_status" => {
            let status = text(body, "status")?;
            world.update_subscription(id, |subscription| status.clone_into(&mut subscription.status));
        }
        _ => {
            let message = format!("No command {name}. Those there are: {}.", NAMES.join(", "));
            return Err(Fault::of("invalid_request_error", 404, message));
        }
    }
    Ok(())
}

fn add_price(world: &mut World, body: &Value) -> Result<(), Fault> {
    let price = Price {
        id: text(body, "id")?.to_owned(),
        lookup_key: body["lookup_key"].as_str().map(str::to_owned),
        product: "prod_other".to_owned(),
        interval: body["interval"].as_str().unwrap_or("month").to_owned(),
        amount: body["amount"].as_i64().unwrap_or(1_900),
        active: flag(body, "active", true),
        metadata: body["metadata"].as_object().cloned().unwrap_or_default(),
    };
    // As with `transfer_lookup_key`: a key belongs to one price.
    for other in &mut world.prices {
        if price.lookup_key.is_some() && other.lookup_key == price.lookup_key {
            other.lookup_key = None;
        }
    }
    world.prices.retain(|other| other.id != price.id);
    let shown = objects::price(&price);
    world.prices.push(price);
    world.happened("price.updated", shown, None);
    Ok(())
}

fn dump(world: &World) -> Value {
    let events = world.events.values().map(|event| {
        let mut shown = objects::event(event);
        shown["delivered"] = json!(event.delivered);
        shown
    });
    json!({
        "now": world.now,
        "customers": world.customers.values().map(objects::customer).collect::<Vec<_>>(),
        "prices": world.prices.iter().map(objects::price).collect::<Vec<_>>(),
        "sessions": world.sessions.values().map(|it| world.session_json(it)).collect::<Vec<_>>(),
        "subscriptions": world.subscriptions.values().map(|it| world.subscription_json(it)).collect::<Vec<_>>(),
        "invoices": world.invoices.values().map(|it| world.invoice_json(it)).collect::<Vec<_>>(),
        "events": events.collect::<Vec<_>>(),
    })
}
