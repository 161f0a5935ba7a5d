//! Managing what was bought.

use harness::app::Options;
use harness::{Selling, on_each_backend};
use serde_json::json;

on_each_backend! {
    async fn what_was_bought_is_managed_by_owners_and_admins(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let (admin, dana) = (acme.member("alex", "admin").await, acme.developer("dana").await);
        let path = acme.path("/billing/portal");
        acme.owner.post(&path, json!({})).await.problem(409, "conflict");
        t.subscribe(&acme, "team").await;
        dana.post(&path, json!({})).await.problem(403, "forbidden");
        for who in [acme.owner.client(), admin.client()] {
            let page = who.post(&path, json!({})).await.expect(201).at("/url");
            assert!(page.starts_with(&t.stripe.url), "{page}");
        }
        let seen = t.stripe.control("requests", json!({})).await;
        let mut calls = seen["requests"].as_array().into_iter().flatten();
        let opened = calls.find(|call| call["path"] == "/v1/billing_portal/sessions").expect("a call");
        assert_eq!(opened["params"]["return_url"], format!("{}/billing?result=returned", t.url));
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'billing.portal_opened'").await, 2);
    }

    async fn whose_customer_was_deleted_at_stripe_still_has_a_page(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        t.subscribe(&acme, "team").await;
        let gone = t.customer(acme.id).await.expect("a customer");
        t.stripe.control("delivery", json!({ "mode": "drop" })).await;
        t.stripe.control("delete_customer", json!({ "customer": gone })).await;
        let page = acme.owner.post(&acme.path("/billing/portal"), json!({})).await.expect(201).at("/url");
        let now = t.customer(acme.id).await.expect("a customer");
        assert!(now != gone && page.ends_with(&now), "{page} {now}");
        t.expect_plan("acme", "free").await;
        acme.owner.post(&acme.path("/billing/checkout"), json!({ "plan": "team" })).await.expect(201).ok();
    }

    async fn whoever_has_a_subscription_does_not_buy_another(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        t.subscribe(&acme, "team").await;
        // Also while the event of the end is not heard.
        t.stripe.control("delivery", json!({ "mode": "drop" })).await;
        let buy = json!({ "plan": "business" });
        let path = acme.path("/billing/checkout");
        acme.owner.post(&path, buy.clone()).await.problem(409, "already_subscribed");
        t.stripe.control("portal_cancel", json!({ "at_period_end": false })).await;
        acme.owner.post(&path, buy.clone()).await.expect(201).ok();
        // And while that of the beginning is not heard.
        t.stripe.control("complete_checkout", json!({})).await;
        acme.owner.post(&path, buy).await.problem(409, "already_subscribed");
        t.expect_plan("acme", "business").await;
    }
}
