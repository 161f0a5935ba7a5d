//! An instance without a key for Stripe.

use harness::app::Options;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

use super::limit;

on_both! {
    async fn without_a_key_nothing_is_sold_and_nothing_is_limited(t: TestApp) {
        let acme = t.org("acme").await;
        let wanted = json!({ "plan": "team", "interval": "monthly" });
        acme.owner.post(&acme.path("/billing/checkout"), wanted).await.problem(501, "billing_disabled");
        acme.owner.post(&acme.path("/billing/portal"), json!({})).await.problem(501, "billing_disabled");
        let event = json!({ "id": "evt_1" });
        t.anonymous().post("/v1/billing/webhook", event).await.problem(501, "billing_disabled");
        let billing = acme.owner.get(&acme.path("/billing")).await.expect(200);
        assert_eq!([billing.at("/plan"), billing.at("/status")], ["self_hosted", "none"]);
        assert_eq!(billing.at("/billing_enabled"), "false");
        assert_eq!(limit(&billing, "projects")["limit"], -1);
        // Everything else works, beyond what any plan that is sold would allow of it.
        for number in 0..5 {
            let env = acme.project(&format!("web-{number}")).await.env("production");
            acme.owner.put(&env.secret("KEY"), json!({ "value": "v" })).await.expect(201).ok();
        }
    }
}

on_each_backend! {
    async fn a_plan_of_ones_own_limits_without_anything_to_buy(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_DEFAULT_PLAN", "free")).await;
        let acme = t.org("acme").await;
        for slug in ["one", "two", "three"] {
            acme.project(slug).await;
        }
        let fourth = json!({ "name": "Four", "slug": "four" });
        let refused = acme.owner.post(&acme.path("/projects"), fourth).await.problem(403, "plan_limit_exceeded");
        assert_eq!([refused.at("/limit"), refused.at("/max")], ["projects", "3"]);
        assert_eq!(refused.at("/upgrade_to"), "", "there is nothing to buy");
    }
}
