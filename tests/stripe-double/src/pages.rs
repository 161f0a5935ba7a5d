//! Pages for developers with a browser: where a checkout is paid and a subscription looked after.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::control::NAMES;
use crate::dispatch::Asked;
use crate::fault::Fault;
use crate::form;
use crate::server::{Inner, Reply, State};

pub(crate) fn reply(inner: &Arc<Inner>, asked: &Asked) -> Reply {
    let parts: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
    let done = inner.with(|state| match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["_control"]) => Ok(Reply::Json {
            status: 200,
            body: json!({ "commands": NAMES }),
            replayed: false,
        }),
        ("GET", ["_pay", id]) => checkout(state, id),
        ("POST", ["_pay", id]) => paid(state, id, asked),
        ("GET", ["_portal", customer]) => portal(state, customer),
        ("POST", ["_portal", customer]) => looked_after(state, customer, asked),
        _ => Err(Fault::of("invalid_request_error", 404, "There is no such page.")),
    });
    done.unwrap_or_else(|fault| Reply::Json {
        status: fault.status,
        body: fault.body(),
        replayed: false,
    })
}

fn page(title: &str, content: &str) -> Reply {
    let text = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <style>body{{font:1rem system-ui;max-width:34rem;margin:4rem auto}}button{{font:inherit;margin:.25rem}}</style>\
         <h1>{title}</h1><p>This is the Stripe double: nobody pays anything.</p>{content}"
    );
    Reply::Html { status: 200, text }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn button(name: &str, label: &str) -> String {
    format!(
        "<button name=act value=\"{}\">{}</button>",
        escaped(name),
        escaped(label)
    )
}

fn checkout(state: &State, id: &str) -> Result<Reply, Fault> {
    let session = state.world.session_that_is_open(id)?;
    let price = state.world.price(&session.price, "price")?;
    let content = format!(
        "<p>{} × {}, {} USD cents a {}</p><form method=post>{}{}</form>",
        session.quantity,
        escaped(&price.id),
        price.amount,
        escaped(&price.interval),
        button("pay", "Pay with a test card"),
        button("leave", "Leave")
    );
    Ok(page("Checkout", &content))
}

fn act(asked: &Asked) -> String {
    let form = form::decode(&asked.body).unwrap_or_default();
    form["act"].as_str().unwrap_or_default().to_owned()
}

fn paid(state: &mut State, id: &str, asked: &Asked) -> Result<Reply, Fault> {
    let params = state.world.session_that_is_open(id)?.params.clone();
    let place = |name: &str| params[name].as_str().unwrap_or("/").to_owned();
    if act(asked) != "pay" {
        return Ok(Reply::GoTo(place("cancel_url")));
    }
    state.world.complete_checkout(id, true, "paid")?;
    Ok(Reply::GoTo(place("success_url").replace("{CHECKOUT_SESSION_ID}", id)))
}

fn portal(state: &State, customer: &str) -> Result<Reply, Fault> {
    state.world.customer(customer, "id")?;
    let mut content = String::new();
    for it in state.world.subscriptions.values().filter(|it| it.customer == customer) {
        let ends = if it.cancel_at.is_some() { ", will end" } else { "" };
        let _ = write!(
            content,
            "<h2>{}</h2><p>{}{ends}: {}</p>",
            it.id,
            escaped(&it.status),
            it.price
        );
        if it.is_over() {
            continue;
        }
        content.push_str("<form method=post>");
        for (name, label) in [
            ("portal_cancel", "Cancel at period end"),
            ("portal_resume", "Resume"),
            ("fail_payment", "Renew with a declined card"),
            ("recover_payment", "Mend the card"),
        ] {
            content.push_str(&button(&format!("{name} {}", it.id), label));
        }
        for price in state.world.prices.iter().filter(|price| price.active) {
            let name = format!("portal_switch {} {}", it.id, price.id);
            content.push_str(&button(&name, &format!("Switch to {}", price.id)));
        }
        content.push_str("</form>");
    }
    Ok(page("Customer portal", &content))
}

fn looked_after(state: &mut State, customer: &str, asked: &Asked) -> Result<Reply, Fault> {
    let act = act(asked);
    let mut words = act.split(' ');
    let (name, subscription) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body = json!({
        "customer": customer,
        "subscription": subscription,
        "price": words.next().map_or(Value::Null, Value::from),
    });
    crate::control::command(state, name, &body)?;
    Ok(Reply::GoTo(format!("/_portal/{customer}")))
}
