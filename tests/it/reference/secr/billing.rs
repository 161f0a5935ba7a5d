//! Billing through hosted pages, and the administration of plans and limits.

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{Answer, Backend, Client, Selling, TestApp, on_each_backend};
use serde_json::{Value, json};

use super::{ORG, colleague, my_proj};

const BILLING: &str = "/v1/orgs/my-org/billing";
const CHECKOUT: &str = "/v1/orgs/my-org/billing/checkout";
const PORTAL: &str = "/v1/orgs/my-org/billing/portal";
const ADMIN_ORG: &str = "/v1/admin/orgs/my-org";

async fn selling(backend: Backend) -> Selling {
    Selling::start(Options::new(backend).stopped_clock()).await
}

/// An administrator of the instance: its `isAdmin`.
async fn admin(t: &TestApp) -> Client {
    let body = json!({
        "setup_token": t.setup_token().unwrap_or_default(),
        "email": "admin@example.com",
        "password": PASSWORD,
        "transport": "bearer",
    });
    let made = t.anonymous().post("/v1/setup/create-admin", body).await.expect(201);
    t.anonymous().bearer(&made.at("/access_token"))
}

/// An effective limit: how much, and who said so.
fn effective(answer: &Answer, key: &str) -> (i64, String) {
    let json = answer.json();
    let mut limits = json["limits"].as_array().into_iter().flatten();
    let found = limits.find(|limit| limit["key"] == key).cloned().unwrap_or_default();
    let source = found["source"].as_str().unwrap_or_default().to_owned();
    (found["limit"].as_i64().unwrap_or_default(), source)
}

fn builtin(limit: i64) -> (i64, String) {
    (limit, "builtin".to_owned())
}

async fn owner_makes(owner: &Client, slug: &str) -> Answer {
    let body = json!({ "name": slug, "slug": slug });
    owner.post(&format!("{ORG}/projects"), body).await
}

/// Every operation that is for administrators alone.
async fn admin_operations(by: &Client) -> Vec<Answer> {
    vec![
        by.get("/v1/admin/orgs").await,
        by.get(ADMIN_ORG).await,
        by.patch(ADMIN_ORG, json!({ "plan": "business" })).await,
        by.get("/v1/admin/plans").await,
        by.put("/v1/admin/plans/free", json!({ "limits": { "projects": 9 } }))
            .await,
    ]
}

on_each_backend! {
    async fn billing_shows_status_and_usage(backend: Backend) {
        let t = selling(backend).await;
        let owner = my_proj(&t).await;
        let stands = owner.get(BILLING).await.expect(200);
        assert_eq!([stands.at("/plan"), stands.at("/status")], ["free", "none"]);
        assert_eq!(effective(&stands, "projects"), builtin(3));
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

    async fn administration_is_for_administrators(backend: Backend) {
        let t = selling(backend).await;
        let owner = my_proj(&t).await;
        for answer in admin_operations(&owner).await {
            answer.problem(403, "forbidden");
        }
        for answer in admin_operations(&t.anonymous()).await {
            answer.problem(401, "unauthenticated");
        }
        assert_eq!(owner.get(BILLING).await.expect(200).at("/plan"), "free");
    }

    async fn limits_are_the_organisations_or_the_plans_or_built_in(backend: Backend) {
        let t = selling(backend).await;
        let owner = my_proj(&t).await;
        let admin = admin(&t).await;
        let listed = admin.get("/v1/admin/orgs?search=my-org").await.expect(200);
        assert_eq!([listed.at("/data/0/slug"), listed.at("/data/0/plan")], ["my-org", "free"]);
        assert_eq!(listed.at("/data/0/usage/projects"), "1");
        let shown = admin.get(ADMIN_ORG).await.expect(200);
        assert_eq!(effective(&shown, "projects"), builtin(3));

        // The plan's, from now on and for everybody who is on it.
        let plan = json!({ "limits": { "projects": 2, "webhooks": 0 } });
        admin.put("/v1/admin/plans/free", plan).await.expect(200).ok();
        let plans = admin.get("/v1/admin/plans").await.expect(200).json();
        let free = plans["data"].as_array().unwrap().iter().find(|row| row["plan"] == "free").unwrap().clone();
        let of_plan = free["limits"].as_array().unwrap().iter().find(|limit| limit["key"] == "projects").unwrap();
        assert_eq!([&of_plan["limit"], &of_plan["source"]], [&json!(2), &json!("plan")]);
        let stands = owner.get(BILLING).await.expect(200);
        assert_eq!(effective(&stands, "projects"), (2, "plan".to_owned()));
        assert_eq!(effective(&stands, "members"), builtin(5));
        owner_makes(&owner, "second").await.expect(201).ok();
        owner_makes(&owner, "third").await.problem(402, "plan_limit_exceeded");
        // Zero is none at all.
        let hook = json!({ "url": "https://example.com/hook", "events": ["*"] });
        let refused = owner.post(&format!("{ORG}/webhooks"), hook).await.problem(402, "plan_limit_exceeded");
        assert_eq!([refused.at("/limit"), refused.at("/max"), refused.at("/source")], ["webhooks", "0", "plan"]);

        // This organisation's, above the plan's; -1 = unlimited.
        let patch = json!({ "limits": { "projects": -1 }, "reason": "agreed with sales" });
        let shown = admin.patch(ADMIN_ORG, patch).await.expect(200);
        assert_eq!(effective(&shown, "projects"), (-1, "override".to_owned()));
        owner_makes(&owner, "third").await.expect(201).ok();
        assert_eq!(effective(&owner.get(BILLING).await.expect(200), "projects"), (-1, "override".to_owned()));
        let shown = admin.patch(ADMIN_ORG, json!({ "reset": ["projects"] })).await.expect(200);
        assert_eq!(effective(&shown, "projects"), (2, "plan".to_owned()));

        // A plan that an administrator gives.
        let shown = admin.patch(ADMIN_ORG, json!({ "plan": "business" })).await.expect(200);
        assert_eq!([shown.at("/org/plan"), shown.at("/org/plan_source")], ["business", "admin"]);
        assert_eq!(effective(&shown, "projects"), builtin(-1));
        for wrong in [json!({ "limits": { "projects": -2 } }), json!({ "limits": { "planets": 1 } })] {
            admin.patch(ADMIN_ORG, wrong.clone()).await.problem(422, "invalid_field");
            admin.put("/v1/admin/plans/free", wrong).await.problem(422, "invalid_field");
        }
    }
}
