//! A plan that an administrator of the instance sets, and takes back.

use harness::app::{Options, eventually};
use harness::{Selling, on_each_backend};
use serde_json::json;

const ACME: &str = "/v1/admin/orgs/acme";

on_each_backend! {
    async fn a_plan_that_is_taken_back_follows_the_subscription_again(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let root = t.person("root").await;
        t.sql("UPDATE users SET is_superuser = TRUE WHERE first_name = 'root'").await;
        let acme = t.org("acme").await;
        let taken_back = async || {
            let shown = root.patch(ACME, json!({ "reset_plan": true, "reason": "over" })).await.expect(200);
            (shown.at("/org/plan"), shown.at("/org/plan_source"))
        };
        assert_eq!(taken_back().await, ("free".into(), "default".into()), "nothing was ever bought");
        t.subscribe(&acme, "team").await;
        root.patch(ACME, json!({ "plan": "business" })).await.expect(200).ok();
        assert_eq!(taken_back().await, ("team".into(), "subscription".into()));
        root.patch(ACME, json!({ "plan": "business" })).await.expect(200).ok();
        t.stripe.control("portal_cancel", json!({ "at_period_end": false })).await;
        eventually("the end is heard of", || async {
            t.number("SELECT COUNT(*) FROM billing_subscriptions WHERE status = 'canceled'").await == 1
        })
        .await;
        assert_eq!(t.plan_rank("acme").await, 2, "it was set by hand");
        assert_eq!(taken_back().await, ("free".into(), "subscription".into()));
        // From here on it goes its own way.
        t.subscribe(&acme, "team").await;
        let log = acme.owner.get(&acme.path("/audit-logs?action=org.limits_set&limit=1")).await.expect(200);
        let told = ["plan", "plan_before", "plan_source", "plan_source_before"].map(|fact| log.at(&format!("/data/0/metadata/{fact}")));
        assert_eq!(told, ["free", "business", "subscription", "admin"]);
    }

    async fn what_was_not_heard_while_it_was_set_by_hand_is_asked_for(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let root = t.person("root").await;
        t.sql("UPDATE users SET is_superuser = TRUE WHERE first_name = 'root'").await;
        let acme = t.org("acme").await;
        t.subscribe(&acme, "team").await;
        root.patch(ACME, json!({ "plan": "business" })).await.expect(200).ok();
        t.stripe.control("delivery", json!({ "mode": "drop" })).await;
        t.stripe.control("portal_cancel", json!({ "at_period_end": false })).await;
        root.patch(ACME, json!({ "reset_plan": true })).await.expect(200).ok();
        t.expect_plan("acme", "free").await;
    }
}
