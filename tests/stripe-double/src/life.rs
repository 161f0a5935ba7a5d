//! What becomes of things as time goes by: renewals, failing payments, trials, endings.

use serde_json::json;

use crate::world::{DAY, Invoice, Subscription, World, period_after};

/// Days until the next attempt after the first, the second and the third failure.
const RETRIES: [i64; 3] = [3, 5, 7];

/// Something that happens at its time.
enum Due {
    ExpireSession(String),
    GiveUpFirstPayment(String),
    EndAsAsked(String),
    WarnOfTrialEnd(String),
    EndTrial(String),
    Renew(String),
    Retry(String),
}

impl World {
    /// Lets everything happen that is due by then, each at its own time.
    pub(crate) fn run_until(&mut self, then: i64) {
        while let Some((at, due)) = self.next_due().filter(|(at, _)| *at <= then) {
            self.now = self.now.max(at);
            match due {
                Due::ExpireSession(id) => self.expire_session(&id),
                Due::GiveUpFirstPayment(id) => {
                    self.end(&id, "incomplete_expired");
                }
                Due::EndAsAsked(id) => self.end(&id, "canceled"),
                Due::WarnOfTrialEnd(id) => {
                    self.subscription_mut(&id).trial_warned = true;
                    let shown = self.subscription_json(&self.subscriptions[&id]);
                    self.happened("customer.subscription.trial_will_end", shown, None);
                }
                Due::EndTrial(id) => self.end_trial(&id),
                Due::Renew(id) => self.renew(&id),
                Due::Retry(id) => self.attempt(&id),
            }
        }
        self.now = self.now.max(then);
    }

    fn next_due(&self) -> Option<(i64, Due)> {
        let sessions = self
            .sessions
            .values()
            .filter(|session| session.status == "open")
            .map(|session| (session.created + DAY, Due::ExpireSession(session.id.clone())));
        let invoices = self.invoices.values().filter(|invoice| invoice.status == "open");
        let retries = invoices.filter_map(|invoice| Some((invoice.next_attempt?, Due::Retry(invoice.id.clone()))));
        let subscriptions = self.subscriptions.values().filter_map(due_of);
        sessions.chain(retries).chain(subscriptions).min_by_key(|(at, _)| *at)
    }

    pub(crate) fn expire_session(&mut self, id: &str) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.status = "expired";
        }
        let shown = self.session_json(&self.sessions[id]);
        self.happened("checkout.session.expired", shown, None);
    }

    /// Ends a subscription now.
    pub(crate) fn end(&mut self, id: &str, status: &str) {
        let now = self.now;
        let subscription = self.subscription_mut(id);
        status.clone_into(&mut subscription.status);
        subscription.canceled_at = subscription.canceled_at.or(Some(now));
        subscription.ended_at = Some(now);
        for invoice in self.open_invoices(id) {
            let invoice = self.invoices.get_mut(&invoice).expect("an invoice of this id");
            invoice.next_attempt = None;
            if status == "incomplete_expired" {
                invoice.status = "void";
            }
        }
        let shown = self.subscription_json(&self.subscriptions[id]);
        // Stripe calls it deleted in both cases, but updates one that never began.
        let kind = match status {
            "incomplete_expired" => "customer.subscription.updated",
            _ => "customer.subscription.deleted",
        };
        self.happened(kind, shown, None);
    }

    fn end_trial(&mut self, id: &str) {
        let subscription = self.subscriptions[id].clone();
        let has_card = self.customers[&subscription.customer].payment_method.is_some();
        match (has_card, subscription.without_card.as_str()) {
            (false, "cancel") => self.end(id, "canceled"),
            (false, "pause") => {
                self.update_subscription(id, |subscription| "paused".clone_into(&mut subscription.status));
                let shown = self.subscription_json(&self.subscriptions[id]);
                self.happened("customer.subscription.paused", shown, None);
            }
            _ => self.renew(id),
        }
    }

    /// Begins the next period and asks for its price.
    pub(crate) fn renew(&mut self, id: &str) {
        let subscription = self.subscriptions[id].clone();
        let interval = self.interval_of(&subscription);
        let start = subscription.period.1.min(self.now);
        let period = (start, period_after(start, &interval));
        let invoice = self.bill(&subscription, period, "subscription_cycle");
        // Whether it stays past due is decided by the payment below.
        self.update_subscription(id, |subscription| {
            subscription.period = period;
            subscription.latest_invoice = Some(invoice.clone());
            if subscription.status == "trialing" {
                "active".clone_into(&mut subscription.status);
            }
        });
        self.attempt(&invoice);
    }

    pub(crate) fn interval_of(&self, subscription: &Subscription) -> String {
        let price = self.price(&subscription.price, "price").expect("a price that is there");
        price.interval.clone()
    }

    /// Writes an invoice; nobody was asked for the money yet.
    pub(crate) fn bill(&mut self, subscription: &Subscription, period: (i64, i64), reason: &'static str) -> String {
        let unit = self
            .price(&subscription.price, "price")
            .expect("a price that is there")
            .amount;
        let quantity = i64::try_from(subscription.quantity).unwrap_or(i64::MAX);
        let id = self.id("in");
        let invoice = Invoice {
            id: id.clone(),
            customer: subscription.customer.clone(),
            subscription: subscription.id.clone(),
            created: self.now,
            amount: unit.saturating_mul(quantity),
            status: "open",
            paid_at: None,
            attempts: 0,
            next_attempt: None,
            period,
            reason,
        };
        self.invoices.insert(id.clone(), invoice);
        id
    }

    /// Tries to charge an invoice.
    pub(crate) fn attempt(&mut self, id: &str) {
        let invoice = self.invoices[id].clone();
        let customer = &self.customers[&invoice.customer];
        let pays = invoice.amount == 0 || (customer.card_works && customer.payment_method.is_some());
        if pays {
            self.pay(id);
            return;
        }
        let attempts = invoice.attempts + 1;
        let wait = RETRIES.get(usize::try_from(attempts - 1).expect("a few attempts"));
        let next = wait.map(|days| self.now + days * DAY);
        let entry = self.invoices.get_mut(id).expect("an invoice of this id");
        entry.attempts = attempts;
        entry.next_attempt = next;
        let shown = self.invoice_json(&self.invoices[id]);
        self.happened("invoice.payment_failed", shown, None);
        let subscription = self.subscriptions[&invoice.subscription].clone();
        if next.is_some() {
            if subscription.status == "active" {
                self.update_subscription(&subscription.id, |it| "past_due".clone_into(&mut it.status));
            }
            return;
        }
        match self.after_retries.as_str() {
            "unpaid" => self.update_subscription(&subscription.id, |it| "unpaid".clone_into(&mut it.status)),
            "past_due" => {}
            _ => self.end(&subscription.id, "canceled"),
        }
    }

    /// An invoice is paid; a subscription that waited only for this is active again.
    pub(crate) fn pay(&mut self, id: &str) {
        let now = self.now;
        let invoice = self.invoices.get_mut(id).expect("an invoice of this id");
        invoice.status = "paid";
        invoice.paid_at = Some(now);
        invoice.attempts += 1;
        invoice.next_attempt = None;
        let subscription = invoice.subscription.clone();
        let shown = self.invoice_json(&self.invoices[id]);
        self.happened("invoice.paid", shown, None);
        if !self.open_invoices(&subscription).is_empty() {
            return;
        }
        let waited = ["past_due", "unpaid", "incomplete"];
        if waited.contains(&self.subscriptions[&subscription].status.as_str()) {
            self.update_subscription(&subscription, |it| "active".clone_into(&mut it.status));
        }
    }

    /// A charge of the customer is disputed, or a dispute is over.
    pub(crate) fn dispute(&mut self, customer: &str, closed: bool) {
        let kind = if closed { "closed" } else { "created" };
        let object = json!({
            "id": self.id("dp"),
            "object": "dispute",
            "amount": 2_900,
            "charge": { "id": self.id("ch"), "object": "charge", "customer": customer },
            "created": self.now,
            "currency": "usd",
            "reason": "fraudulent",
            "status": if closed { "won" } else { "needs_response" },
        });
        self.happened(&format!("charge.dispute.{kind}"), object, None);
    }
}

fn due_of(it: &Subscription) -> Option<(i64, Due)> {
    let id = || it.id.clone();
    let ending = it.cancel_at.map(|at| (at, Due::EndAsAsked(id())));
    match it.status.as_str() {
        "incomplete" => Some((it.created + 23 * 3_600, Due::GiveUpFirstPayment(id()))),
        "trialing" => {
            let end = it.trial_end?;
            let warning = (end - 3 * DAY).max(it.created);
            let next = if it.trial_warned {
                (end, Due::EndTrial(id()))
            } else {
                (warning, Due::WarnOfTrialEnd(id()))
            };
            // At the same instant a wish to end comes first.
            Some(ending.filter(|(at, _)| *at <= next.0).unwrap_or(next))
        }
        "active" => {
            let next = (it.period.1, Due::Renew(id()));
            Some(ending.filter(|(at, _)| *at <= next.0).unwrap_or(next))
        }
        _ if it.is_over() => None,
        _ => ending,
    }
}
