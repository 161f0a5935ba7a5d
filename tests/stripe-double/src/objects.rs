//! The objects as Stripe's API shows them: every field that async-stripe requires, and the ones that people look at.

use serde_json::{Value, json};

use crate::API_VERSION;
use crate::world::{Customer, Event, Invoice, Price, Session, Subscription, World};

/// What automatic tax looks like when it is off.
fn no_tax() -> Value {
    json!({ "enabled": false, "disabled_reason": null, "liability": null, "provider": null, "status": null })
}

fn list(data: &[Value], url: &str) -> Value {
    json!({ "object": "list", "data": data, "has_more": false, "url": url })
}

pub(crate) fn customer(customer: &Customer) -> Value {
    if customer.deleted {
        return json!({ "id": customer.id, "object": "customer", "deleted": true });
    }
    let mut shown = json!({
        "id": customer.id,
        "object": "customer",
        "address": null,
        "balance": 0,
        "created": customer.created,
        "currency": "usd",
        "default_source": null,
        "delinquent": !customer.card_works,
        "description": null,
        "discount": null,
        "email": null,
        "invoice_prefix": "DOUBLE",
        "invoice_settings": {
            "custom_fields": null,
            "default_payment_method": customer.payment_method,
            "footer": null,
            "rendering_options": null,
        },
        "livemode": false,
        "metadata": customer.metadata,
        "name": null,
        "next_invoice_sequence": 1,
        "phone": null,
        "preferred_locales": [],
        "shipping": null,
        "tax_exempt": "none",
        "test_clock": null,
    });
    for (name, value) in &customer.fields {
        if shown.get(name).is_some() {
            shown[name.as_str()] = value.clone();
        }
    }
    shown
}

pub(crate) fn payment_method(customer: &Customer) -> Value {
    json!({
        "id": customer.payment_method,
        "object": "payment_method",
        "allow_redisplay": "limited",
        "billing_details": {
            "address": null, "email": customer.fields.get("email"), "name": null, "phone": null, "tax_id": null,
        },
        "card": {
            "brand": "visa", "country": "US", "display_brand": "visa", "exp_month": 12, "exp_year": 2040,
            "fingerprint": "double4242", "funding": "credit", "last4": "4242",
        },
        "created": customer.created,
        "customer": customer.id,
        "livemode": false,
        "metadata": {},
        "type": "card",
    })
}

pub(crate) fn product(id: &str) -> Value {
    json!({
        "id": id,
        "object": "product",
        "active": true,
        "created": 1_700_000_000,
        "default_price": null,
        "description": null,
        "images": [],
        "livemode": false,
        "marketing_features": [],
        "metadata": {},
        "name": id.trim_start_matches("prod_"),
        "tax_code": null,
        "type": "service",
        "updated": 1_700_000_000,
        "url": null,
    })
}

pub(crate) fn price(price: &Price) -> Value {
    json!({
        "id": price.id,
        "object": "price",
        "active": price.active,
        "billing_scheme": "per_unit",
        "created": 1_700_000_000,
        "currency": "usd",
        "custom_unit_amount": null,
        "livemode": false,
        "lookup_key": price.lookup_key,
        "metadata": price.metadata,
        "nickname": null,
        "product": price.product,
        "recurring": {
            "interval": price.interval, "interval_count": 1, "meter": null, "trial_period_days": null,
            "usage_type": "licensed",
        },
        "tax_behavior": "unspecified",
        "tiers_mode": null,
        "transform_quantity": null,
        "type": "recurring",
        "unit_amount": price.amount,
        "unit_amount_decimal": price.amount.to_string(),
    })
}

/// The older form of a price, which items still carry.
fn plan(price: &Price) -> Value {
    json!({
        "id": price.id,
        "object": "plan",
        "active": price.active,
        "amount": price.amount,
        "amount_decimal": price.amount.to_string(),
        "billing_scheme": "per_unit",
        "created": 1_700_000_000,
        "currency": "usd",
        "interval": price.interval,
        "interval_count": 1,
        "livemode": false,
        "metadata": {},
        "meter": null,
        "nickname": null,
        "product": price.product,
        "tiers_mode": null,
        "transform_usage": null,
        "trial_period_days": null,
        "usage_type": "licensed",
    })
}

pub(crate) fn portal(id: &str, customer: &str, now: i64, url: &str, params: &Value) -> Value {
    json!({
        "id": id,
        "object": "billing_portal.session",
        "configuration": params["configuration"].as_str().unwrap_or("bpc_double"),
        "created": now,
        "customer": customer,
        "customer_account": null,
        "flow": null,
        "livemode": false,
        "locale": null,
        "on_behalf_of": null,
        "return_url": params["return_url"],
        "url": url,
    })
}

pub(crate) fn event(event: &Event) -> Value {
    let mut data = json!({ "object": event.object });
    if let Some(previous) = &event.previous {
        data["previous_attributes"] = previous.clone();
    }
    json!({
        "id": event.id,
        "object": "event",
        "api_version": API_VERSION,
        "created": event.created,
        "data": data,
        "livemode": event.livemode,
        "pending_webhooks": i32::from(!event.delivered),
        "request": { "id": null, "idempotency_key": null },
        "type": event.kind,
    })
}

pub(crate) fn session(session: &Session, url: &str) -> Value {
    let params = &session.params;
    json!({
        "id": session.id,
        "object": "checkout.session",
        "allow_promotion_codes": params["allow_promotion_codes"],
        "amount_subtotal": null,
        "amount_total": null,
        "automatic_tax": no_tax(),
        "billing_address_collection": params["billing_address_collection"],
        "cancel_url": params["cancel_url"],
        "client_reference_id": params["client_reference_id"],
        "client_secret": null,
        "created": session.created,
        "currency": "usd",
        "custom_fields": [],
        "custom_text": {
            "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null,
        },
        "customer": session.customer,
        "customer_creation": null,
        "customer_details": null,
        "customer_email": null,
        "discounts": [],
        "expires_at": session.created + crate::world::DAY,
        "invoice": null,
        "livemode": false,
        "locale": null,
        "metadata": params["metadata"].as_object().cloned().unwrap_or_default(),
        "mode": "subscription",
        "payment_intent": null,
        "payment_link": null,
        "payment_method_collection": params["payment_method_collection"].as_str().unwrap_or("always"),
        "payment_method_types": ["card"],
        "payment_status": session.payment_status,
        "phone_number_collection": { "enabled": false },
        "return_url": null,
        "setup_intent": null,
        "shipping_options": [],
        "status": session.status,
        "submit_type": null,
        "subscription": session.subscription,
        "success_url": params["success_url"],
        "ui_mode": "hosted_page",
        "url": if session.status == "open" { json!(url) } else { Value::Null },
    })
}

impl World {
    pub(crate) fn session_json(&self, shown: &Session) -> Value {
        session(shown, &format!("{}/_pay/{}", self.base, shown.id))
    }

    fn price_of(&self, id: &str) -> &Price {
        self.price(id, "price")
            .expect("a subscription has a price that is there")
    }

    pub(crate) fn item_json(&self, shown: &Subscription) -> Value {
        let at = self.price_of(&shown.price);
        json!({
            "id": shown.item,
            "object": "subscription_item",
            "billing_thresholds": null,
            "created": shown.created,
            "current_period_end": shown.period.1,
            "current_period_start": shown.period.0,
            "discounts": [],
            "metadata": {},
            "plan": plan(at),
            "price": price(at),
            "quantity": shown.quantity,
            "subscription": shown.id,
            "tax_rates": [],
        })
    }

    pub(crate) fn subscription_json(&self, shown: &Subscription) -> Value {
        let items = list(
            &[self.item_json(shown)],
            &format!("/v1/subscription_items?subscription={}", shown.id),
        );
        let method = self
            .customers
            .get(&shown.customer)
            .and_then(|customer| customer.payment_method.clone());
        let mut made = json!({
            "id": shown.id,
            "object": "subscription",
            "application": null,
            "application_fee_percent": null,
            "automatic_tax": no_tax(),
            "billing_cycle_anchor": shown.created,
            "billing_cycle_anchor_config": null,
            "billing_mode": { "type": "flexible", "flexible": { "proration_discounts": "included" }, "updated_at": null },
            "billing_schedules": [],
            "billing_thresholds": null,
            "cancel_at": shown.cancel_at,
            "cancel_at_period_end": shown.cancel_at_period_end,
            "canceled_at": shown.canceled_at,
            "cancellation_details": { "comment": null, "feedback": null, "reason": null },
            "collection_method": "charge_automatically",
            "created": shown.created,
            "currency": "usd",
            "customer": shown.customer,
            "customer_account": null,
            "days_until_due": null,
            "default_payment_method": method,
            "default_source": null,
            "default_tax_rates": [],
            "description": null,
            "discounts": [],
            "ended_at": shown.ended_at,
            "items": items,
            "latest_invoice": shown.latest_invoice,
            "livemode": false,
            "metadata": shown.metadata,
            "start_date": shown.created,
            "status": shown.status,
            "test_clock": null,
            "trial_end": shown.trial_end,
            "trial_start": shown.trial_end.map(|_| shown.created),
        });
        made["invoice_settings"] = json!({ "account_tax_ids": null, "issuer": { "type": "self" } });
        made["trial_settings"] = json!({ "end_behavior": { "missing_payment_method": shown.without_card } });
        for name in [
            "next_pending_invoice_item_invoice",
            "on_behalf_of",
            "pause_collection",
            "payment_settings",
            "pending_invoice_item_interval",
            "pending_setup_intent",
            "pending_update",
            "schedule",
            "transfer_data",
        ] {
            made[name] = Value::Null;
        }
        made
    }

    pub(crate) fn invoice_json(&self, shown: &Invoice) -> Value {
        let paid = shown.status == "paid";
        let line = json!({
            "id": format!("il_{}", shown.id.trim_start_matches("in_")),
            "object": "line_item",
            "amount": shown.amount,
            "currency": "usd",
            "description": null,
            "discount_amounts": [],
            "discountable": true,
            "discounts": [],
            "invoice": shown.id,
            "livemode": false,
            "metadata": {},
            "period": { "start": shown.period.0, "end": shown.period.1 },
            "quantity": 1,
            "subtotal": shown.amount,
        });
        let mut made = json!({
            "id": shown.id,
            "object": "invoice",
            "amount_due": shown.amount,
            "amount_overpaid": 0,
            "amount_paid": if paid { shown.amount } else { 0 },
            "amount_remaining": if paid { 0 } else { shown.amount },
            "amount_shipping": 0,
            "attempt_count": shown.attempts,
            "attempted": shown.attempts > 0,
            "auto_advance": !paid,
            "automatic_tax": no_tax(),
            "billing_reason": shown.reason,
            "collection_method": "charge_automatically",
            "created": shown.created,
            "currency": "usd",
            "customer": shown.customer,
            "default_tax_rates": [],
            "discounts": [],
            "due_date": null,
            "hosted_invoice_url": format!("{}/_portal/{}", self.base, shown.customer),
            "issuer": { "type": "self" },
            "lines": list(&[line], &format!("/v1/invoices/{}/lines", shown.id)),
            "livemode": false,
            "metadata": {},
            "next_payment_attempt": shown.next_attempt,
            "number": shown.id.trim_start_matches("in_"),
        });
        made["parent"] = json!({
            "type": "subscription_details",
            "quote_details": null,
            "subscription_details": { "metadata": {}, "subscription": shown.subscription },
        });
        made["payment_settings"] =
            json!({ "default_mandate": null, "payment_method_options": null, "payment_method_types": null });
        made["period_end"] = json!(shown.period.1);
        made["period_start"] = json!(shown.period.0);
        made["post_payment_credit_notes_amount"] = json!(0);
        made["pre_payment_credit_notes_amount"] = json!(0);
        made["starting_balance"] = json!(0);
        made["status"] = json!(shown.status);
        made["status_transitions"] = json!({
            "finalized_at": shown.created, "marked_uncollectible_at": null, "paid_at": shown.paid_at, "voided_at": null,
        });
        made["subtotal"] = json!(shown.amount);
        made["total"] = json!(shown.amount);
        made
    }
}
