//! Events of Stripe's as they come in. What is signed how stands in `signatures`.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::{Selling, on_each_backend};
use reqwest::Method;
use serde_json::json;
use stripe_double::sign;

use crate::webhooks::catalogue::Catalogue;

const PATH: &str = "/v1/billing/webhook";

on_each_backend! {
    async fn what_is_not_about_us_is_taken_and_ignored(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        t.subscribe(&acme, "team").await;
        let customer = t.customer(acme.id).await.expect("a customer");
        t.stripe.quiet().await;
        let ignored = "SELECT COUNT(*) FROM stripe_events WHERE status = 'ignored'";
        let before = t.number(ignored).await;
        let jobs = t.number("SELECT COUNT(*) FROM jobs WHERE kind = 'stripe'").await;
        for (kind, customer, livemode) in [
            ("invoice.paid", "cus_of_somebody", false),
            ("payout.paid", customer.as_str(), false),
            ("invoice.paid", customer.as_str(), true),
        ] {
            let object = json!({ "id": "in_1", "object": "invoice", "customer": customer });
            t.stripe.control("make_event", json!({ "type": kind, "object": object, "livemode": livemode })).await;
        }
        t.stripe.quiet().await;
        eventually("they are there", || async { t.number(ignored).await == before + 3 }).await;
        assert_eq!(t.number("SELECT COUNT(*) FROM jobs WHERE kind = 'stripe'").await, jobs);
        let world = t.stripe.control("world", json!({})).await;
        let undelivered = world["events"].as_array().into_iter().flatten();
        let undelivered = undelivered.filter(|event| event["type"] == "payout.paid" && event["delivered"] == false);
        assert_eq!(undelivered.count(), 0, "it was answered with 200");
    }

    async fn no_cookie_is_asked_for_and_none_is_in_the_way(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let event = json!({
            "id": "evt_1", "type": "invoice.paid", "livemode": false, "created": 1, "data": { "object": {} },
        });
        let body = event.to_string().into_bytes();
        let header = sign::header(&body, t.clock.now().secs(), &[t.stripe.webhook_secret()]);
        let foreign = t.anonymous().with("Cookie", "strongroom=x").with("Origin", "https://evil.example");
        for client in [t.anonymous(), foreign] {
            let client = client.with("Stripe-Signature", &header);
            // Whatever the media type says, the bytes are taken as they are.
            for content_type in ["application/json", "text/plain", "application/octet-stream"] {
                let answer = client.send_bytes(Method::POST, PATH, content_type, body.clone()).await;
                assert_eq!(answer.expect(200).json(), json!({ "received": true }));
            }
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM stripe_events").await, 1);
    }

    async fn a_quarter_of_a_mebibyte_is_the_most(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        for (size, status) in [(256 * 1024, 400), (256 * 1024 + 1, 413)] {
            let answer = t.anonymous().send_bytes(Method::POST, PATH, "application/json", vec![b' '; size]).await;
            assert_eq!(answer.status(), status, "{}", answer.text());
        }
    }

    async fn without_a_secret_for_them_events_are_found_by_looking(backend: Backend) {
        // An empty setting counts as none.
        let options = Options::new(backend).stopped_clock().with("STRONGROOM_STRIPE_WEBHOOK_SECRET", "");
        let t = Selling::start(options).await;
        let acme = t.org("acme").await;
        acme.owner.post(&acme.path("/billing/checkout"), json!({ "plan": "team" })).await.expect(201).ok();
        t.stripe.control("complete_checkout", json!({})).await;
        t.stripe.quiet().await;
        t.anonymous().post(PATH, json!({ "id": "evt_1" })).await.problem(501, "billing_disabled");
        t.advance(Duration::from_mins(10));
        t.expect_plan("acme", "team").await;
    }

    async fn a_change_of_plan_is_told_to_webhooks_and_the_audit_log(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        t.subscribe(&acme, "team").await;
        let feed = acme.owner.get(&acme.path("/events?types=billing.*")).await.expect(200);
        let told = ["/data/0/type", "/data/0/data/plan", "/data/0/data/previous_plan", "/data/0/data/reason"];
        assert_eq!(told.map(|pointer| feed.at(pointer)), ["billing.plan_changed", "team", "free", "subscription"]);
        let told = &feed.json()["data"][0];
        assert_eq!(told["data"]["actor"], json!({ "type": "system", "id": null }));
        assert_eq!(Catalogue::of(&t).await.assert_fits(told), "billing.plan_changed");
        let changes = "SELECT COUNT(*) FROM journal WHERE action = 'billing.plan_changed'";
        assert_eq!(t.number(changes).await, 1, "once, however many events told of it");
    }
}
