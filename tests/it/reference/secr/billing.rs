//! Billing through hosted pages of Stripe's, and Stripe's events. How limits are resolved is in `plans`.

use harness::app::Options;
use harness::{Answer, Backend, Selling, on_each_backend};
use serde_json::{Value, json};

use super::{ORG, colleague, my_proj};

const BILLING: &str = "/v1/orgs/my-org/billing";
const CHECKOUT: &str = "/v1/orgs/my-org/billing/checkout";
const PORTAL: &str = "/v1/orgs/my-org/billing/portal";

async fn selling(backend: Backend) -> Selling {
    Selling::start(Options::new(backend).stopped_clock()).await
}

/// An effective limit: how much, and who said so.
fn effective(answer: &Answer, key: &str) -> (i64, String) {
    let json = answer.json();
    let mut limits = json["limits"].as_array().into_iter().flatten();
    let found = limits.find(|limit| limit["key"] == key).cloned().unwrap_or_default();
    let source = found["source"].as_str().unwrap_or_default().to_owned();
    (found["limit"].as_i64().unwrap_or_default(), source)
}

on_each_backend! {
    async fn billing_shows_status_and_usage(backend: Backend) {
        let t = selling(backend).await;
        let owner = my_proj(&t).await;
        let stands = owner.get(BILLING).await.expect(200);
        assert_eq!([stands.at("/plan"), stands.at("/status")], ["free", "none"]);
        assert_eq!(effective(&stands, "projects"), (3, "builtin".to_owned()));
        let json = stands.json();
        let used = |key: &str| {
            let limits = json["limits"].as_array().unwrap();
            limits.iter().find(|limit| limit["key"] == key).unwrap()["used"].clone()
        };
        assert_eq!([used("projects"), used("members"), used("webhooks")], [json!(1), json!(1), json!(0)]);
        t.anonymous().get(BILLING).await.problem(401, "unauthenticated");
    }

    async fn a_plan_is_bought_and_managed_on_hosted_pages(backend: Backend) {
        let t = selling(backend).await;
        let owner = my_proj(&t).await;
        let manager = colleague(&t, &owner, "admin").await;
        let wanted = json!({ "plan": "team", "interval": "yearly" });
        for role in ["developer", "viewer"] {
            let other = colleague(&t, &owner, role).await;
            other.post(CHECKOUT, wanted.clone()).await.problem(403, "forbidden");
            other.post(PORTAL, json!({})).await.problem(403, "forbidden");
        }
        let page = manager.post(CHECKOUT, wanted.clone()).await.ok().at("/url");
        assert!(page.starts_with(&t.stripe.url), "{page}");
        t.stripe.control("complete_checkout", json!({})).await;
        t.expect_plan("my-org", "team").await;
        let stands = owner.get(BILLING).await.expect(200);
        assert_eq!([stands.at("/plan"), stands.at("/status")], ["team", "active"]);
        owner.post(CHECKOUT, wanted).await.problem(409, "already_subscribed");
        let page = owner.post(PORTAL, json!({})).await.ok().at("/url");
        assert!(page.starts_with(&t.stripe.url), "{page}");
        // What Stripe was asked for names the organisation, and leads back to pages of ours alone.
        let world = t.stripe.control("world", json!({})).await;
        let session = &world["sessions"][0];
        let org = owner.get(ORG).await.expect(200).at("/id");
        assert_eq!([&session["client_reference_id"], &session["metadata"]["org_id"]], [&json!(org), &json!(org)]);
        for name in ["success_url", "cancel_url"] {
            assert!(session[name].as_str().is_some_and(|url| url.contains("/billing?result=")), "{session}");
        }
    }

    async fn events_need_no_credential_but_a_signature(backend: Backend) {
        let t = selling(backend).await;
        let owner = my_proj(&t).await;
        let event = json!({ "id": "evt_1", "type": "customer.subscription.deleted" });
        for by in [&t.anonymous(), &owner] {
            by.post("/v1/billing/webhook", event.clone()).await.problem(400, "invalid_signature");
        }
        let wrong = json!({ "sign_with": "whsec_of_somebody_else" });
        let object = json!({ "id": "in_1", "object": "invoice", "customer": "cus_1" });
        t.stripe.control("delivery", json!({ "mode": "hold" })).await;
        t.stripe.control("make_event", json!({ "type": "invoice.paid", "object": object })).await;
        let statuses = |sent: Value| sent["answers"][0]["status"].clone();
        assert_eq!(statuses(t.stripe.control("emit", wrong).await), 400);
        assert_eq!(statuses(t.stripe.control("emit", json!({})).await), 200);
    }
}
