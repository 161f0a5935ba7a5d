//! What counts, what does not, and what is given back.

use harness::app::Options;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{counted, limit};

on_both! {
    async fn changing_many_counts_new_keys_only_and_all_or_none(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (owner, env) = (&acme.owner, web.env("staging"));
        limit(&t, &acme, "secrets_per_project", 4).await;
        let bulk = format!("{}/bulk", env.0);
        let set = async |secrets: serde_json::Value| owner.post(&bulk, json!({ "secrets": secrets })).await;
        set(json!({ "A": "1", "B": "1", "C": "1" })).await.ok();
        set(json!({ "A": "2", "B": "2", "C": "2", "D": "1" })).await.ok();
        let refused = set(json!({ "A": "3", "E": "1" })).await.problem(403, "plan_limit_exceeded");
        let told = ["/limit", "/max", "/used", "/requested"].map(|member| refused.at(member));
        assert_eq!(told, ["secrets_per_project", "4", "4", "1"]);
        assert_eq!(owner.get(&env.secret("A")).await.at("/value"), "2", "nothing of it was stored");
        // As many go as come.
        let replaced = json!({ "secrets": { "A": "4", "B": "4", "C": "4", "E": "1" }, "mode": "replace" });
        owner.post(&bulk, replaced).await.ok();
        assert_eq!(counted(&t, "secrets_per_project").await, 4);
        owner.post(&format!("{}/import", env.0), json!({ "F": "1" })).await.problem(403, "plan_limit_exceeded");
        owner.post(&format!("{}/bulk-delete", env.0), json!({ "keys": ["A", "B"] })).await.ok();
        assert_eq!(counted(&t, "secrets_per_project").await, 2);
        owner.post(&format!("{}/import", env.0), json!({ "F": "1" })).await.ok();
        let promote = json!({ "from": "staging", "to": "production" });
        owner.post(&format!("{}/promote", web.path), promote.clone()).await.problem(403, "plan_limit_exceeded");
        limit(&t, &acme, "secrets_per_project", 6).await;
        owner.post(&format!("{}/promote", web.path), promote.clone()).await.ok();
        owner.post(&format!("{}/promote", web.path), promote).await.ok();
        assert_eq!(counted(&t, "secrets_per_project").await, 6);
        // Going back to four keys in this environment would make seven.
        let back = json!({ "revision": "2" });
        owner.post(&format!("{}/rollback", env.0), back.clone()).await.problem(403, "plan_limit_exceeded");
        limit(&t, &acme, "secrets_per_project", 7).await;
        owner.post(&format!("{}/rollback", env.0), back).await.ok();
        assert_eq!(counted(&t, "secrets_per_project").await, 7);
        assert_eq!(t.number("SELECT COUNT(*) FROM secrets WHERE deleted_at IS NULL").await, 7);
    }

    async fn what_is_deleted_is_given_back_and_restoring_asks_again(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (owner, env) = (&acme.owner, web.env("staging"));
        limit(&t, &acme, "secrets_per_project", 1).await;
        owner.put(&env.secret("A"), json!({ "value": "1" })).await.ok();
        owner.put(&env.secret("A"), json!({ "value": "2" })).await.ok();
        owner.delete(&env.secret("A")).await.ok();
        owner.put(&env.secret("B"), json!({ "value": "1" })).await.ok();
        owner.post(&format!("{}/restore", env.secret("A")), json!({})).await.problem(403, "plan_limit_exceeded");
        owner.patch(&env.secret("B"), json!({ "key": "C" })).await.ok();
        owner.delete(&env.secret("C")).await.ok();
        owner.post(&format!("{}/restore", env.secret("A")), json!({})).await.ok();
        assert_eq!(counted(&t, "secrets_per_project").await, 1);
        // An environment takes its secrets with it.
        owner.delete(&env.0).await.expect(204).ok();
        assert_eq!((counted(&t, "secrets_per_project").await, counted(&t, "environments_per_project").await), (0, 2));
        limit(&t, &acme, "projects", 1).await;
        owner.post(&acme.path("/projects"), json!({ "name": "ops" })).await.problem(403, "plan_limit_exceeded");
        owner.delete(&web.path).await.expect(204).ok();
        owner.post(&acme.path("/projects"), json!({ "name": "ops" })).await.ok();
        owner.post(&format!("{}/restore", web.path), json!({})).await.problem(403, "plan_limit_exceeded");
        assert_eq!(counted(&t, "projects").await, 1);
        owner.delete(&acme.path("/projects/ops")).await.expect(204).ok();
        owner.post(&format!("{}/restore", web.path), json!({})).await.ok();
        assert_eq!(counted(&t, "projects").await, 1);
    }

    async fn webhooks_and_service_accounts_are_given_back(t: TestApp) {
        let acme = t.org("acme").await;
        limit(&t, &acme, "webhooks", 1).await;
        limit(&t, &acme, "service_accounts", 1).await;
        let hook = json!({ "url": "http://127.0.0.1:9999/x", "events": ["*"], "enabled": false });
        let robot = |name: &str| json!({ "name": name });
        for (path, [first, second]) in [
            (acme.path("/webhooks"), [hook.clone(), hook]),
            (acme.path("/service-accounts"), ["one", "two"].map(robot)),
        ] {
            let made = acme.owner.post(&path, first).await.expect(201).at("/id");
            acme.owner.post(&path, second.clone()).await.problem(403, "plan_limit_exceeded");
            acme.owner.delete(&format!("{path}/{made}")).await.expect(204).ok();
            acme.owner.post(&path, second).await.expect(201).ok();
        }
    }

    async fn a_key_can_be_replaced_at_the_limit(t: TestApp) {
        let acme = t.org("acme").await;
        limit(&t, &acme, "tokens", 1).await;
        let accounts = acme.path("/service-accounts");
        let robot = acme.owner.post(&accounts, json!({ "name": "one" })).await.expect(201).at("/id");
        let keys = format!("{accounts}/{robot}/keys");
        let second = acme.owner.post(&keys, json!({ "name": "next" })).await.expect(201).at("/id");
        acme.owner.post(&keys, json!({ "name": "third" })).await.problem(403, "plan_limit_exceeded");
        acme.owner.post("/v1/auth/tokens", json!({ "name": "mine", "org": "acme" })).await.problem(403, "plan_limit_exceeded");
        acme.owner.post("/v1/auth/tokens", json!({ "name": "of no organisation" })).await.expect(201).ok();
        acme.owner.delete(&format!("{keys}/{second}")).await.expect(204).ok();
        acme.owner.post(&keys, json!({ "name": "third" })).await.expect(201).ok();
    }

    async fn who_is_invited_has_a_seat_and_coming_takes_no_other(t: TestApp) {
        let acme = t.org("acme").await;
        limit(&t, &acme, "members", 2).await;
        let dana = t.proved_person("dana").await;
        let invited = acme.owner.post(&acme.path("/invites"), json!({ "email": dana.email })).await.expect(201);
        let erin = t.person("erin").await;
        let add = json!({ "user_id": erin.id.to_string(), "role": "viewer" });
        acme.owner.post(&acme.path("/members"), add.clone()).await.problem(403, "plan_limit_exceeded");
        let token = harness::mailbox::expect_token(&t, &dana.email, harness::mailbox::INVITE, 1).await;
        dana.post(&format!("/v1/invites/{token}/accept"), json!({})).await.ok();
        assert_eq!(counted(&t, "members").await, 2);
        // Who is a member already needs no second seat in a project.
        let web = acme.project("web").await;
        let again = json!({ "user_id": dana.id.to_string(), "role": "viewer" });
        acme.owner.post(&format!("{}/members", web.path), again).await.ok();
        acme.owner.post(&acme.path("/members"), add.clone()).await.problem(403, "plan_limit_exceeded");
        acme.remove(dana.id).await;
        acme.owner.post(&acme.path("/members"), add).await.ok();
        assert!(!invited.at("/id").is_empty());
    }

    async fn a_counter_that_is_wrong_is_found_put_right_and_reported(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        acme.owner.put(&web.env("staging").secret("A"), json!({ "value": "1" })).await.ok();
        assert!(domain::limits::recount::run(t.db()).await.unwrap().is_empty(), "nothing drifts by itself");
        t.sql("UPDATE usage_counters SET used = used + 5 WHERE resource = 'projects'").await;
        t.sql("DELETE FROM usage_counters WHERE resource = 'secrets_per_project'").await;
        t.sql("INSERT INTO usage_counters (org_id, scope_id, resource, used) SELECT id, id, 'webhooks', 3 FROM orgs WHERE slug = 'acme'").await;
        let before = domain::limits::recount::repaired();
        let mut found: Vec<_> = domain::limits::recount::run(t.db()).await.unwrap();
        found.sort_by_key(|drift| drift.key);
        let shown: Vec<_> = found.iter().map(|drift| (drift.key.as_str(), drift.counted, drift.actual)).collect();
        assert_eq!(shown, [("projects", 6, 1), ("secrets_per_project", 0, 1), ("webhooks", 3, 0)]);
        assert!(domain::limits::recount::repaired() >= before + 3);
        assert!(domain::limits::recount::run(t.db()).await.unwrap().is_empty());
    }
}

on_each_backend! {
    async fn a_refusal_tells_a_program_what_to_do(backend: Backend) {
        let options = Options::new(backend).with("STRONGROOM_STRIPE_SECRET_KEY", "sk_test_nothing");
        let t = TestApp::start(options).await;
        let acme = t.org("acme").await;
        for n in 0..3 {
            acme.project(&format!("p{n}")).await;
        }
        let refused = acme.owner.post(&acme.path("/projects"), json!({ "name": "p3" })).await;
        let refused = refused.problem(402, "plan_limit_exceeded");
        let members = ["/limit", "/max", "/used", "/requested", "/plan", "/source", "/upgrade_to"];
        let told = members.map(|member| refused.at(member));
        assert_eq!(told, ["projects", "3", "3", "1", "free", "builtin", "team"]);
    }

    async fn where_nothing_is_sold_it_is_a_refusal_without_an_offer(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_DEFAULT_PLAN", "free")).await;
        let acme = t.org("acme").await;
        for n in 0..3 {
            acme.project(&format!("p{n}")).await;
        }
        let refused = acme.owner.post(&acme.path("/projects"), json!({ "name": "p3" })).await;
        let refused = refused.problem(403, "plan_limit_exceeded");
        assert_eq!((refused.at("/plan"), refused.at("/upgrade_to")), ("free".into(), String::new()));
        assert_eq!(refused.json().get("upgrade_to"), None);
    }
}
