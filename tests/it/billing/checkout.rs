//! Buying a plan: who may, what is asked of Stripe, and what happens when Stripe has troubles.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::mailbox::expect_letter;
use harness::{Backend, Client, Org, Selling, on_each_backend};
use serde_json::{Value, json};

const TRIAL_ENDS: &str = "Your trial ends soon";

async fn selling(backend: Backend) -> Selling {
    Selling::start(Options::new(backend).stopped_clock()).await
}

/// The calls of a path that Stripe has seen.
async fn calls(t: &Selling, path: &str) -> Vec<Value> {
    let seen = t.stripe.control("requests", json!({})).await;
    let all = seen["requests"].as_array().cloned().unwrap_or_default();
    let of_path = |call: &Value| call["path"] == path && call["method"] == "POST";
    all.into_iter().filter(of_path).collect()
}

async fn count(t: &Selling, what: &str) -> usize {
    let world = t.stripe.control("world", json!({})).await;
    world[what].as_array().map_or(0, Vec::len)
}

/// Asks for the page to buy on; its address.
async fn page(who: &Client, org: &Org<'_>, plan: &str) -> String {
    let made = who.post(&org.path("/billing/checkout"), json!({ "plan": plan })).await;
    made.expect(201).at("/url")
}

/// Another price of the team plan, with metadata.
async fn team_costs(t: &Selling, id: &str, metadata: Value) {
    // What was learned at the start must not come after what is learned now.
    eventually("prices are known", || async {
        t.number("SELECT COUNT(*) FROM plan_prices").await > 0
    })
    .await;
    let price = json!({ "id": id, "lookup_key": "team_monthly_v1", "amount": 900, "metadata": metadata });
    t.stripe.control("add_price", price).await;
    let known = format!("SELECT COUNT(*) FROM plan_prices WHERE price_id = '{id}' AND active");
    eventually("the price is known", || async { t.number(&known).await == 1 }).await;
}

on_each_backend! {
    async fn owners_and_admins_buy_and_others_do_not(backend: Backend) {
        let t = selling(backend).await;
        let acme = t.org("acme").await;
        let (admin, dana) = (acme.member("alex", "admin").await, acme.developer("dana").await);
        let mallory = t.person("mallory").await;
        let wanted = json!({ "plan": "team", "interval": "yearly" });
        let path = acme.path("/billing/checkout");
        dana.post(&path, wanted.clone()).await.problem(403, "forbidden");
        mallory.post(&path, wanted.clone()).await.problem(404, "not_found");
        assert_eq!(count(&t, "customers").await, 0, "Stripe was not asked");
        let token = acme.owner.token(json!({ "name": "ci", "scopes": ["org:read"] })).await;
        token.post(&path, wanted.clone()).await.problem(403, "insufficient_scope");
        admin.post(&path, wanted.clone()).await.expect(201).ok();
        acme.owner.post(&path, wanted).await.expect(201).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'billing.checkout_started'").await, 2);
    }

    async fn stripe_is_told_who_buys_what_and_leads_back_here(backend: Backend) {
        let t = selling(backend).await;
        let acme = t.org("acme").await;
        page(acme.owner.client(), &acme, "team").await;
        let made = calls(&t, "/v1/checkout/sessions").await;
        let [made] = &made[..] else { panic!("{made:?}") };
        let (params, org) = (&made["params"], acme.id.to_string());
        assert_eq!(params["mode"], "subscription");
        assert_eq!(params["client_reference_id"], org.as_str());
        assert_eq!(params["subscription_data"]["metadata"]["org_id"], org.as_str());
        let here = format!("{}/", t.url);
        assert_eq!(params["subscription_data"]["metadata"]["deployment_id"], here.as_str());
        for back in ["success_url", "cancel_url"] {
            let url = params[back].as_str().unwrap_or_default();
            assert!(url.starts_with(&format!("{here}billing?result=")), "{back}: {url}");
            let path = url.trim_start_matches(here.as_str());
            t.anonymous().get(&format!("/{path}")).await.expect(200).ok();
        }
        assert!(made["idempotency_key"].as_str().is_some_and(|key| key.starts_with("checkout:")), "{made}");
    }

    async fn what_is_not_sold_is_named(backend: Backend) {
        let t = selling(backend).await;
        let acme = t.org("acme").await;
        for plan in ["enterprise", "free", "self_hosted", "Team", ""] {
            let refused = acme.owner.post(&acme.path("/billing/checkout"), json!({ "plan": plan })).await;
            let refused = refused.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "plan", "{plan}");
        }
        let weekly = json!({ "plan": "team", "interval": "weekly" });
        let refused = acme.owner.post(&acme.path("/billing/checkout"), weekly).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "interval");
        assert_eq!(count(&t, "sessions").await, 0);
    }

    async fn whoever_asks_many_times_at_once_gets_one_page(backend: Backend) {
        let t = selling(backend).await;
        let acme = t.org("acme").await;
        let asked = (0..8).map(|_| page(acme.owner.client(), &acme, "team"));
        let mut pages = futures_util::future::join_all(asked).await;
        pages.dedup();
        assert_eq!(pages.len(), 1, "{pages:?}");
        assert_eq!((count(&t, "customers").await, count(&t, "sessions").await), (1, 1));
        t.advance(Duration::from_mins(11));
        assert_ne!(page(acme.owner.client(), &acme, "team").await, pages[0], "later it is another");
    }

    async fn a_stripe_in_trouble_is_asked_again(backend: Backend) {
        let t = selling(backend).await;
        for (kind, path) in [
            ("429", "/v1/customers"), ("503", "/v1/checkout"), ("html", "/v1/customers"), ("refused", "/v1/subscriptions"),
            ("500", "/v1/checkout"),
        ] {
            let slug = format!("org-{kind}");
            let org = t.org(&slug).await;
            t.stripe.control("fail_next", json!({ "kind": kind, "path": path })).await;
            page(org.owner.client(), &org, "team").await;
        }
        assert_eq!(count(&t, "customers").await, 5, "none is made twice");
    }

    async fn a_stripe_that_is_down_changes_nothing(backend: Backend) {
        let t = selling(backend).await;
        let acme = t.org("acme").await;
        page(acme.owner.client(), &acme, "team").await;
        t.advance(Duration::from_mins(11));
        let down = json!({ "kind": "503", "path": "/v1/checkout", "times": 3 });
        t.stripe.control("fail_next", down).await;
        let refused = acme.owner.post(&acme.path("/billing/checkout"), json!({ "plan": "team" })).await;
        assert!(refused.problem(503, "unavailable").header("retry-after").is_some());
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'billing.checkout_started'").await, 1);
        page(acme.owner.client(), &acme, "team").await;
    }

    async fn whose_customer_was_deleted_at_stripe_buys_again(backend: Backend) {
        let t = selling(backend).await;
        let acme = t.org("acme").await;
        t.subscribe(&acme, "team").await;
        let gone = t.customer(acme.id).await.expect("a customer");
        // And nobody tells us.
        t.stripe.control("delivery", json!({ "mode": "drop" })).await;
        t.stripe.control("delete_customer", json!({ "customer": gone })).await;
        // It is found at the next look.
        t.advance(Duration::from_hours(25));
        t.expect_plan("acme", "free").await;
        let owner = acme.owner.signs_in_again().await;
        let first = page(owner.client(), &acme, "team").await;
        assert_eq!(page(owner.client(), &acme, "team").await, first, "who asks again gets the same page");
        assert_eq!(count(&t, "customers").await, 2);
        let keys = calls(&t, "/v1/customers").await;
        let keys: Vec<_> = keys.iter().map(|call| call["idempotency_key"].as_str().unwrap_or_default()).collect();
        assert!(keys.len() == 2 && keys[0] != keys[1], "{keys:?}");
        assert_ne!(t.customer(acme.id).await.expect("a customer"), gone);
        t.expect_plan("acme", "free").await;
        t.stripe.control("delivery", json!({})).await;
        t.stripe.control("complete_checkout", json!({})).await;
        t.expect_plan("acme", "team").await;
        eventually("no event waits", || async {
            t.number("SELECT COUNT(*) FROM stripe_events WHERE status = 'pending'").await == 0
        })
        .await;
    }

    async fn a_price_that_is_missing_makes_no_other_customer(backend: Backend) {
        let t = selling(backend).await;
        let acme = t.org("acme").await;
        page(acme.owner.client(), &acme, "team").await;
        t.sql("INSERT INTO plan_prices (price_id, lookup_key, plan, billing_interval, version, per_seat, active, updated_at)
            VALUES ('price_gone', 'team_monthly_v99', 'team', 'monthly', 99, FALSE, TRUE, 0)").await;
        let refused = acme.owner.post(&acme.path("/billing/checkout"), json!({ "plan": "team" })).await;
        refused.problem(500, "internal");
        assert_eq!(count(&t, "customers").await, 1);
    }

    async fn a_first_subscription_has_a_trial_and_its_end_is_told(backend: Backend) {
        let t = selling(backend).await;
        let acme = t.org("acme").await;
        team_costs(&t, "price_trial", json!({ "trial_days": "14" })).await;
        t.subscribe(&acme, "team").await;
        let made = calls(&t, "/v1/checkout/sessions").await;
        let days = |call: &Value| -> Option<i64> { call["params"]["subscription_data"]["trial_period_days"].as_str().and_then(|text| text.parse().ok()) };
        // As it came: a form knows texts only.
        assert_eq!(made.iter().map(days).collect::<Vec<_>>(), [Some(14)]);
        assert_eq!(t.number("SELECT COUNT(*) FROM billing_subscriptions WHERE status = 'trialing'").await, 1);
        t.advance_days(11).await;
        let letter = expect_letter(&*t, &acme.owner.email, TRIAL_ENDS, 1).await;
        assert!(letter.contains("acme"), "{letter}");
        t.stripe.control("portal_cancel", json!({ "at_period_end": false })).await;
        t.expect_plan("acme", "free").await;
        let owner = t.signed_in(&acme.owner).await;
        page(&owner, &acme, "team").await;
        let made = calls(&t, "/v1/checkout/sessions").await;
        assert_eq!(made.iter().map(days).collect::<Vec<_>>(), [Some(14), None], "one trial for each organisation");
    }

    async fn a_plan_with_a_price_for_each_follows_the_people(backend: Backend) {
        let t = selling(backend).await;
        let acme = t.org("acme").await;
        acme.developer("dana").await;
        team_costs(&t, "price_seat", json!({ "per_seat": "true" })).await;
        t.subscribe(&acme, "team").await;
        let seats = "SELECT COALESCE(MAX(quantity), 0) FROM billing_subscriptions";
        assert_eq!(t.number(seats).await, 2);
        let robin = acme.developer("robin").await;
        t.advance(Duration::from_mins(10));
        eventually("there are three", || async { t.number(seats).await == 3 }).await;
        let world = t.stripe.control("world", json!({})).await;
        assert_eq!(world["subscriptions"][0]["items"]["data"][0]["quantity"], 3);
        acme.remove(robin.id).await;
        t.advance(Duration::from_mins(10));
        eventually("there are two again", || async { t.number(seats).await == 2 }).await;
    }
}
