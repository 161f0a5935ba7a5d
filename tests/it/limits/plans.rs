//! Three levels of limits, each with its source, and who sets them.

use std::time::Duration;

use domain::limits::LimitKey;
use domain::limits::resolve::settled;
use harness::app::Options;
use harness::{Answer, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::root;

const DAY: Duration = Duration::from_hours(24);

/// The entry of a limit in a list of limits.
fn entry(answer: &Answer, list: &str, key: &str) -> Value {
    let list = answer
        .json()
        .pointer(list)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    list.into_iter().find(|entry| entry["key"] == key).unwrap_or_default()
}

/// What an owner sees of a limit: what is allowed, and where that was set.
fn seen(answer: &Answer, key: &str) -> (i64, String) {
    let entry = entry(answer, "/limits", key);
    let source = entry["source"].as_str().unwrap_or_default().to_owned();
    (entry["limit"].as_i64().unwrap_or(i64::MIN), source)
}

on_both! {
    async fn everybody_sees_the_plans_and_everything_is_allowed_on_ones_own_instance(t: TestApp) {
        let plans = t.anonymous().get("/v1/plans").await.expect(200).json();
        let names: Vec<_> = plans["data"].as_array().unwrap().iter().map(|plan| plan["plan"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names, ["free", "team", "business", "self_hosted"]);
        for limit in plans["data"][3]["limits"].as_array().unwrap() {
            assert_eq!((&limit["limit"], &limit["source"]), (&json!(-1), &json!("builtin")), "{limit}");
        }
        let acme = t.org("acme").await;
        acme.project("web").await;
        let billing = acme.owner.get(&acme.path("/billing")).await.expect(200);
        let told = ["/plan", "/status", "/billing_enabled", "/cancel_at_period_end"].map(|member| billing.at(member));
        assert_eq!(told, ["self_hosted", "none", "false", "false"]);
        assert_eq!(entry(&billing, "/limits", "projects")["used"], 1);
        assert_eq!(entry(&billing, "/limits", "members")["used"], 1);
        let environments = entry(&billing, "/limits", "environments_per_project");
        assert_eq!(environments["used"], 3);
        assert!(environments["project"].as_str().unwrap().starts_with("prj_"), "{environments}");
        assert_eq!(entry(&billing, "/limits", "rate_limit_rpm").get("used"), None);
    }

    async fn a_limit_is_the_organisations_or_the_plans_or_built_in(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let (billing, admin) = (acme.path("/billing"), "/v1/admin/orgs/acme");
        let shown = async || acme.owner.get(&billing).await.expect(200);
        root.patch(admin, json!({ "plan": "team" })).await.expect(200).ok();
        assert_eq!(seen(&shown().await, "projects"), (25, "builtin".into()));
        root.put("/v1/admin/plans/team", json!({ "limits": { "projects": 30, "members": 0 } })).await.expect(200).ok();
        assert_eq!(seen(&shown().await, "projects"), (30, "plan".into()));
        assert_eq!(seen(&shown().await, "members"), (0, "plan".into()), "zero is zero");
        assert_eq!(seen(&shown().await, "webhooks"), (20, "builtin".into()), "each key by itself");
        let patch = json!({ "limits": { "projects": 40, "webhooks": -1 }, "reason": "asked for" });
        let patched = root.patch(admin, patch).await.expect(200);
        assert_eq!(entry(&patched, "/overrides", "projects")["reason"], "asked for");
        assert_eq!(seen(&shown().await, "projects"), (40, "override".into()));
        assert_eq!(seen(&shown().await, "webhooks"), (-1, "override".into()));
        root.patch(admin, json!({ "reset": ["projects"] })).await.expect(200).ok();
        assert_eq!(seen(&shown().await, "projects"), (30, "plan".into()));
        // What is not named has its built-in limit again.
        root.put("/v1/admin/plans/team", json!({ "limits": {} })).await.expect(200).ok();
        assert_eq!(seen(&shown().await, "projects"), (25, "builtin".into()));
        assert_eq!(seen(&shown().await, "webhooks"), (-1, "override".into()));
        let listed = root.get("/v1/admin/orgs?search=ACM&plan=team").await.expect(200);
        assert_eq!((listed.at("/data/0/slug"), listed.at("/data/0/plan_source")), ("acme".into(), "admin".into()));
    }

    // The rule is written twice, in Rust for who looks and in SQL for who counts.
    async fn what_is_shown_is_what_is_enforced(t: TestApp) {
        let acme = t.org("acme").await;
        let hooks = acme.path("/webhooks");
        let hook = json!({ "url": "http://127.0.0.1:9999/x", "events": ["*"], "enabled": false });
        acme.owner.post(&hooks, hook.clone()).await.expect(201).ok();
        let set = async |table: &str, value: Option<i64>| {
            let (clear, insert) = match table {
                "plan" => ("DELETE FROM plan_limits", "INSERT INTO plan_limits (plan, key, value, updated_at)
                    SELECT plan, 'webhooks', {}, 0 FROM orgs WHERE slug = 'acme'"),
                _ => ("DELETE FROM limit_overrides", "INSERT INTO limit_overrides (org_id, key, value, reason, set_at)
                    SELECT id, 'webhooks', {}, '', 0 FROM orgs WHERE slug = 'acme'"),
            };
            t.sql(clear).await;
            if let Some(value) = value {
                t.sql(&insert.replace("{}", &value.to_string())).await;
            }
        };
        let levels = [None, Some(-1), Some(0), Some(1), Some(2)];
        for plan in ["free", "self_hosted"] {
            t.sql(&format!("UPDATE orgs SET plan = '{plan}' WHERE slug = 'acme'")).await;
            for (of_org, of_plan) in levels.iter().flat_map(|of_org| levels.iter().map(move |of_plan| (*of_org, *of_plan))) {
                set("org", of_org).await;
                set("plan", of_plan).await;
                let builtin = if plan == "free" { 2 } else { -1 };
                let expected = of_org.or(of_plan).unwrap_or(builtin);
                let shown = acme.owner.get(&acme.path("/billing")).await.expect(200);
                assert_eq!(seen(&shown, "webhooks").0, expected, "{plan} {of_org:?} {of_plan:?}");
                let made = acme.owner.post(&hooks, hook.clone()).await;
                let is_allowed = expected == -1 || expected >= 2;
                assert_eq!(made.status(), if is_allowed { 201 } else { 403 }, "{plan} {of_org:?} {of_plan:?}");
                if is_allowed {
                    acme.owner.delete(&format!("{hooks}/{}", made.at("/id"))).await.expect(204).ok();
                }
            }
        }
    }

    async fn owners_see_in_their_audit_log_what_was_set_for_them(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let patch = json!({ "plan": "free", "limits": { "projects": 1 }, "reason": "asked for" });
        root.patch("/v1/admin/orgs/acme", patch).await.expect(200).ok();
        let log = acme.owner.get(&acme.path("/audit-logs?action=org.limits_set")).await.expect(200);
        assert_eq!(log.at("/data/0/actor/email"), "root@example.com");
        assert_eq!(log.json()["data"][0]["metadata"]["limits"], json!({ "projects": 1 }));
        assert_eq!(log.at("/data/0/metadata/plan_before"), "self_hosted");
    }

    async fn a_plan_that_was_set_by_hand_is_taken_back(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let admin = "/v1/admin/orgs/acme";
        let source = async |patch: Value| {
            let shown = root.patch(admin, patch).await.expect(200);
            (shown.at("/org/plan"), shown.at("/org/plan_source"))
        };
        assert_eq!(source(json!({ "plan": "free" })).await, ("free".into(), "admin".into()));
        assert_eq!(source(json!({ "limits": { "projects": 1 } })).await, ("free".into(), "admin".into()), "it stays");
        assert_eq!(source(json!({ "reset_plan": true })).await, ("self_hosted".into(), "default".into()));
        let log = acme.owner.get(&acme.path("/audit-logs?action=org.limits_set&limit=1")).await.expect(200);
        let told = ["plan", "plan_before", "plan_source", "plan_source_before"].map(|fact| log.at(&format!("/data/0/metadata/{fact}")));
        assert_eq!(told, ["self_hosted", "free", "default", "admin"]);
        // What was set for it alone stays.
        assert_eq!(seen(&acme.owner.get(&acme.path("/billing")).await, "projects"), (1, "override".into()));
    }

    async fn what_is_no_limit_and_no_plan_is_refused_by_name(t: TestApp) {
        let root = root(&t).await;
        t.org("acme").await;
        for (path, body, field) in [
            ("/v1/admin/orgs/acme", json!({ "limits": { "projects": -2 } }), "limits.projects"),
            ("/v1/admin/orgs/acme", json!({ "limits": { "planets": 1 } }), "planets"),
            ("/v1/admin/orgs/acme", json!({ "plan": "golden" }), "plan"),
            ("/v1/admin/orgs/acme", json!({ "reset": ["planets"] }), "reset"),
            ("/v1/admin/orgs/acme", json!({ "plan": "free", "reset_plan": true }), "reset_plan"),
            ("/v1/admin/orgs/acme", json!({ "expires_at": "2020-01-02T03:04:05Z" }), "expires_at"),
        ] {
            let refused = root.patch(path, body.clone()).await.problem(422, "invalid_field");
            assert!(refused.at("/errors/0/field").contains(field), "{body}: {}", refused.text());
        }
        root.put("/v1/admin/plans/golden", json!({ "limits": {} })).await.problem(404, "not_found");
        root.get("/v1/admin/orgs/globex").await.problem(404, "not_found");
    }

    async fn only_superusers_who_are_signed_in_set_limits(t: TestApp) {
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let token = root.token(json!({ "name": "all" })).await;
        for (client, code) in [(acme.owner.client(), "forbidden"), (&token, "session_required")] {
            client.get("/v1/admin/orgs").await.problem(403, code);
            client.get("/v1/admin/plans").await.problem(403, code);
            client.put("/v1/admin/plans/free", json!({ "limits": {} })).await.problem(403, code);
            client.patch("/v1/admin/orgs/acme", json!({ "plan": "free" })).await.problem(403, code);
        }
        t.anonymous().get("/v1/admin/orgs").await.problem(401, "unauthenticated");
        let dana = acme.developer("dana").await;
        dana.get(&acme.path("/billing")).await.problem(403, "forbidden");
    }
}

on_each_backend! {
    async fn a_limit_for_a_while_ends_by_itself(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let root = root(&t).await;
        let acme = t.org("acme").await;
        let patch = json!({ "limits": { "projects": 0 }, "expires_at": "2030-01-02T03:34:05Z" });
        root.patch("/v1/admin/orgs/acme", patch).await.expect(200).ok();
        let project = json!({ "name": "web" });
        acme.owner.post(&acme.path("/projects"), project.clone()).await.problem(403, "plan_limit_exceeded");
        t.advance(std::time::Duration::from_mins(30));
        acme.owner.post(&acme.path("/projects"), project).await.expect(201).ok();
    }

    async fn a_limit_that_is_set_to_what_it_is_stays_as_old_as_it_is(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let mut root = root(&t).await;
        let acme = t.org("acme").await;
        let (admin, free) = ("/v1/admin/orgs/acme", "/v1/admin/plans/free");
        root.patch(admin, json!({ "plan": "free" })).await.expect(200).ok();
        root.put(free, json!({ "limits": { "projects": 1, "webhooks": 1 } })).await.expect(200).ok();
        root.patch(admin, json!({ "limits": { "members": 2 } })).await.expect(200).ok();
        t.advance(31 * DAY);
        root = root.signs_in_again().await;
        root.put(free, json!({ "limits": { "projects": 1, "webhooks": 2 } })).await.expect(200).ok();
        root.patch(admin, json!({ "limits": { "members": 2 }, "reason": "again" })).await.expect(200).ok();
        root.patch(admin, json!({ "plan": "free" })).await.expect(200).ok();
        let old = async |key| settled(t.db(), acme.id, key, 30 * DAY).await.unwrap();
        assert_eq!((old(LimitKey::Projects).await, old(LimitKey::Members).await), (Some(1), Some(2)));
        assert_eq!((old(LimitKey::Webhooks).await, old(LimitKey::AclRules).await), (None, Some(20)));
        // What counts instead of one that was taken back is new, and so is one that is set again.
        root.put(free, json!({ "limits": { "webhooks": 2 } })).await.expect(200).ok();
        root.patch(admin, json!({ "reset": ["members"] })).await.expect(200).ok();
        assert_eq!((old(LimitKey::Projects).await, old(LimitKey::Members).await), (None, None));
        t.advance(30 * DAY);
        assert_eq!((old(LimitKey::Projects).await, old(LimitKey::Members).await), (Some(3), Some(5)));
        root = root.signs_in_again().await;
        root.put(free, json!({ "limits": { "projects": 1 } })).await.expect(200).ok();
        root.patch(admin, json!({ "limits": { "members": 2 } })).await.expect(200).ok();
        assert_eq!((old(LimitKey::Projects).await, old(LimitKey::Members).await), (None, None));
    }

    async fn the_operator_chooses_the_plan_of_everybody(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_DEFAULT_PLAN", "team")).await;
        let acme = t.org("acme").await;
        assert_eq!(acme.owner.get(&acme.path("")).await.at("/plan"), "team");
        // Also of those that were made before; what was set by hand stays.
        t.sql("UPDATE orgs SET plan = 'free' WHERE slug = 'acme'").await;
        domain::limits::plan::adopt_default(t.db()).await.unwrap();
        assert_eq!(acme.owner.get(&acme.path("")).await.at("/plan"), "team");
        t.sql("UPDATE orgs SET plan = 'free', plan_source = 'admin' WHERE slug = 'acme'").await;
        domain::limits::plan::adopt_default(t.db()).await.unwrap();
        assert_eq!(acme.owner.get(&acme.path("")).await.at("/plan"), "free");
    }

    async fn where_plans_are_sold_one_begins_on_the_free_one(backend: Backend) {
        let options = Options::new(backend)
            .with("STRONGROOM_STRIPE_SECRET_KEY", "sk_test_nothing")
            .with("STRONGROOM_DEFAULT_PLAN", "team");
        let t = TestApp::start(options).await;
        let acme = t.org("acme").await;
        assert_eq!(acme.owner.get(&acme.path("/billing")).await.at("/plan"), "free");
        assert_eq!(acme.owner.get(&acme.path("/billing")).await.at("/billing_enabled"), "true");
    }
}
