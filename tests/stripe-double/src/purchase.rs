//! What a customer does on Stripe's own pages.

use serde_json::{Value, json};

use crate::fault::Fault;
use crate::world::{DAY, Session, Subscription, World, period_after};

impl World {
    /// The customer pays: `outcome` is `paid`, `incomplete` or `async`.
    pub(crate) fn complete_checkout(&mut self, id: &str, card: bool, outcome: &str) -> Result<Value, Fault> {
        let session = self.session_that_is_open(id)?.clone();
        let (customer, price) = (session.customer.clone(), session.price.clone());
        let works = self.customer(&customer, "customer")?.card_works;
        let interval = self.price(&price, "price")?.interval.clone();
        if outcome == "paid" && card && !works {
            return Err(Fault {
                code: Some("card_declined"),
                ..Fault::of("card_error", 402, "Your card was declined.")
            });
        }
        if card {
            let method = self.id("pm");
            let customer = self.customers.get_mut(&customer).expect("a customer that is there");
            customer.payment_method = Some(method);
        }
        let subscription = self.new_subscription(&session, &interval, outcome == "paid");
        let (made, trial) = (subscription.id.clone(), subscription.trial_end.is_some());
        self.subscriptions.insert(made.clone(), subscription.clone());
        let reason = "subscription_create";
        let invoice = (!trial).then(|| self.bill(&subscription, subscription.period, reason));
        self.subscription_mut(&made).latest_invoice.clone_from(&invoice);
        let shown = self.subscription_json(&self.subscriptions[&made]);
        self.happened("customer.subscription.created", shown, None);
        match invoice {
            Some(invoice) if outcome == "paid" => self.pay(&invoice),
            Some(_) | None => {}
        }
        // With an unfinished first payment the customer is still on the page.
        if outcome != "incomplete" {
            let payment = match outcome {
                "async" => "unpaid",
                _ if trial => "no_payment_required",
                _ => "paid",
            };
            self.finish_session(id, "complete", payment);
        }
        let session = self.sessions.get_mut(id).expect("a session that is there");
        session.subscription = Some(made.clone());
        if outcome != "incomplete" {
            let shown = self.session_json(&self.sessions[id]);
            self.happened("checkout.session.completed", shown, None);
        }
        Ok(json!({ "session": id, "subscription": made }))
    }

    fn finish_session(&mut self, id: &str, status: &'static str, payment: &'static str) {
        let session = self.sessions.get_mut(id).expect("a session that is there");
        session.status = status;
        session.payment_status = payment;
    }

    fn new_subscription(&mut self, session: &Session, interval: &str, paid: bool) -> Subscription {
        let data = &session.params["subscription_data"];
        let now = self.now;
        let days = data["trial_period_days"].as_i64();
        let trial_end = days.map(|days| now + days * DAY).or(data["trial_end"].as_i64());
        let without_card = data["trial_settings"]["end_behavior"]["missing_payment_method"].as_str();
        let status = match (paid, trial_end) {
            (true, Some(_)) => "trialing",
            (true, None) => "active",
            (false, _) => "incomplete",
        };
        Subscription {
            id: self.id("sub"),
            item: self.id("si"),
            customer: session.customer.clone(),
            price: session.price.clone(),
            quantity: session.quantity,
            status: status.to_owned(),
            created: now,
            period: (now, trial_end.unwrap_or_else(|| period_after(now, interval))),
            trial_end,
            trial_warned: false,
            without_card: without_card.unwrap_or("create_invoice").to_owned(),
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            latest_invoice: None,
            metadata: data["metadata"].as_object().cloned().unwrap_or_default(),
        }
    }

    /// A payment that takes days has come, or has not.
    pub(crate) fn settle(&mut self, id: &str, paid: bool) -> Result<(), Fault> {
        let session = self.sessions.get(id).cloned();
        let session = session.ok_or_else(|| Fault::missing("checkout.session", id, "session"))?;
        let subscription = session.subscription.filter(|_| session.payment_status == "unpaid");
        let Some(subscription) = subscription else {
            return Err(Fault::request("This session does not wait for a payment."));
        };
        if paid {
            for invoice in self.open_invoices(&subscription) {
                self.pay(&invoice);
            }
            self.finish_session(id, "complete", "paid");
        } else {
            self.end(&subscription, "incomplete_expired");
        }
        let shown = self.session_json(&self.sessions[id]);
        let outcome = if paid { "succeeded" } else { "failed" };
        self.happened(&format!("checkout.session.async_payment_{outcome}"), shown, None);
        Ok(())
    }

    /// The card works or not; with `at_once` the next period begins now, or what is open is paid.
    pub(crate) fn card(&mut self, subscription: &str, works: bool, at_once: bool) {
        let owner = self.subscriptions[subscription].customer.clone();
        let customer = self.customers.get_mut(&owner).expect("a customer that is there");
        customer.card_works = works;
        if works && customer.payment_method.is_none() {
            customer.payment_method = Some("pm_double_added".to_owned());
        }
        if works {
            for invoice in self.open_invoices(subscription) {
                self.pay(&invoice);
            }
        } else if at_once {
            self.renew(subscription);
        }
    }

    /// Another price, at once.
    pub(crate) fn switch(&mut self, id: &str, price: &str, quantity: Option<u64>) -> Result<(), Fault> {
        let price = self.price(price, "price")?.id.clone();
        self.update_subscription(id, |subscription| {
            subscription.price = price;
            subscription.quantity = quantity.unwrap_or(subscription.quantity);
        });
        let subscription = self.subscriptions[id].clone();
        let invoice = self.bill(&subscription, subscription.period, "subscription_update");
        self.attempt(&invoice);
        Ok(())
    }
}
