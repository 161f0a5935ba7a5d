//! Owners hear of what is not paid: four times, and then the plan ends.

use harness::app::{Options, eventually};
use harness::mailbox::{expect_letter, letters};
use harness::{Selling, on_each_backend};
use serde_json::json;

const NOT_PAID: &str = "A payment did not go through";

on_each_backend! {
    async fn owners_are_reminded_on_four_days_and_then_the_plan_ends(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        acme.member("alex", "admin").await;
        t.subscribe(&acme, "team").await;
        t.stripe.control("after_retries", json!({ "outcome": "past_due" })).await;
        t.stripe.control("fail_payment", json!({})).await;
        let first = expect_letter(&*t, &acme.owner.email, NOT_PAID, 1).await;
        assert!(first.contains("acme") && first.contains("2030-01-16"), "{first}");
        for (days, count) in [(3, 2), (4, 3), (5, 4)] {
            t.advance_days(days).await;
            expect_letter(&*t, &acme.owner.email, NOT_PAID, count).await;
            assert_eq!(t.plan_rank("acme").await, 1, "the plan goes on");
        }
        t.advance_days(2).await;
        t.expect_plan("acme", "free").await;
        assert_eq!(letters(&*t, &acme.owner.email, NOT_PAID).len(), 4);
        assert!(letters(&*t, "alex@example.com", NOT_PAID).is_empty(), "owners pay");
    }

    async fn what_is_paid_in_time_ends_it(backend: Backend) {
        let t = Selling::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        t.subscribe(&acme, "team").await;
        t.stripe.control("fail_payment", json!({})).await;
        expect_letter(&*t, &acme.owner.email, NOT_PAID, 1).await;
        t.stripe.control("recover_payment", json!({})).await;
        let behind = "SELECT COUNT(*) FROM billing_subscriptions WHERE past_due_since IS NOT NULL";
        eventually("nothing is due", || async { t.number(behind).await == 0 }).await;
        t.advance_days(20).await;
        assert_eq!(letters(&*t, &acme.owner.email, NOT_PAID).len(), 1);
        t.expect_plan("acme", "team").await;
    }
}
