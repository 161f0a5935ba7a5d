//! Billing status with usage, plan configs, and the resolution of plan limits.

use harness::on_both;
use serde_json::{Value, json};

use super::super::{column, register, texts};
use super::{ORG, PROJECTS, colleague, my_proj};

const BILLING: &str = "/v1/orgs/my-org/billing";
const ADMIN_ORG: &str = "/v1/admin/orgs/my-org";

/// The entry of a limit.
fn limit(shown: &Value, key: &str) -> Value {
    let list = shown["limits"].as_array().cloned().unwrap_or_default();
    list.into_iter().find(|entry| entry["key"] == key).unwrap_or_default()
}

on_both! {
    // Billing: status and usage counts.
    async fn the_owner_sees_plan_status_and_usage(t: TestApp) {
        let owner = my_proj(&t).await;
        let viewer = colleague(&t, &owner, "viewer").await;
        let billing = owner.get(BILLING).await.expect(200);
        assert_eq!(texts(&billing, ["/plan", "/status"]), ["self_hosted", "none"]);
        let used = |key: &str| limit(&billing.json(), key)["used"].clone();
        assert_eq!((used("projects"), used("members"), used("webhooks")), (json!(1), json!(2), json!(0)));
        viewer.get(BILLING).await.problem(403, "forbidden");
    }

    // Admin: orgs with effective limits, plan and overrides; plans and their limits. Plan limit resolution.
    async fn effective_limits_are_the_orgs_then_the_plans_then_built_in(t: TestApp) {
        let owner = my_proj(&t).await;
        let (admin, _) = register(&t, "admin@example.com").await;
        admin.get("/v1/admin/orgs").await.problem(403, "forbidden");
        t.sql("UPDATE users SET is_superuser = TRUE
            WHERE id = (SELECT user_id FROM user_emails WHERE canonical = 'admin@example.com')").await;
        let orgs = admin.get("/v1/admin/orgs?search=my-org").await.expect(200);
        assert_eq!(column(&orgs, "slug"), ["my-org"]);
        assert_eq!(orgs.at("/data/0/usage/projects"), "1");
        let plans = admin.get("/v1/admin/plans").await.expect(200);
        assert_eq!(column(&plans, "plan"), ["free", "team", "business", "self_hosted"]);
        admin.patch(ADMIN_ORG, json!({ "plan": "free" })).await.expect(200).ok();
        let effective = async || limit(&admin.get(ADMIN_ORG).await.expect(200).json(), "projects");
        assert_eq!((effective().await["limit"].clone(), effective().await["source"].clone()), (json!(3), json!("builtin")));
        admin.put("/v1/admin/plans/free", json!({ "limits": { "projects": 1 } })).await.expect(200).ok();
        assert_eq!((effective().await["limit"].clone(), effective().await["source"].clone()), (json!(1), json!("plan")));
        let second = json!({ "name": "Second" });
        let refused = owner.post(PROJECTS, second.clone()).await.problem(403, "plan_limit_exceeded");
        assert_eq!(texts(&refused, ["/limit", "/max", "/used", "/requested"]), ["projects", "1", "1", "1"]);
        // -1 is unlimited.
        admin.patch(ADMIN_ORG, json!({ "limits": { "projects": -1 } })).await.expect(200).ok();
        assert_eq!((effective().await["limit"].clone(), effective().await["source"].clone()), (json!(-1), json!("override")));
        owner.post(PROJECTS, second).await.expect(201).ok();
        let log = owner.get(&format!("{ORG}/audit-logs?action=org.limits_set")).await.expect(200);
        assert_eq!(log.at("/pagination/total"), "2");
        owner.put("/v1/admin/plans/free", json!({ "limits": {} })).await.problem(403, "forbidden");
    }
}
