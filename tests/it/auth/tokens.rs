//! Personal tokens.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::{TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

const TOKENS: &str = "/v1/auth/tokens";

on_both! {
    async fn a_token_is_shown_once_and_listed_by_its_ends(t: TestApp) {
        let dana = t.person("dana").await;
        let made = dana.post(TOKENS, json!({ "name": "ci", "expires_days": 30 })).await.expect(201);
        let token = made.at("/token");
        assert!(token.starts_with("srm_pat_") && made.at("/id").starts_with("tok_"));
        assert_eq!((made.at("/prefix"), made.at("/name")), ("srm_pat_".into(), "ci".into()));
        assert_eq!(Some(made.at("/last_four").as_str()), token.get(token.len() - 4..));
        let list = dana.get(TOKENS).await.expect(200);
        assert_eq!((list.at("/pagination/total"), list.at("/data/0/id")), ("1".into(), made.at("/id")));
        assert_eq!(list.at("/data/0/last_four"), made.at("/last_four"));
        assert!(!list.text().contains(&token));
        assert!(list.json().pointer("/data/0/last_used_at").is_none());
        let stored = t.number("SELECT COUNT(*) FROM credentials WHERE kind = 'personal' AND expires_at IS NOT NULL").await;
        assert_eq!(stored, 1);
    }

    async fn a_token_acts_for_its_owner_and_its_use_is_noted(t: TestApp) {
        let dana = t.person("dana").await;
        let token = dana.token(json!({ "name": "ci" })).await;
        let me = token.get("/v1/auth/me").await.expect(200);
        assert_eq!(me.at("/id"), dana.id.to_string());
        eventually("the use is noted", || async {
            dana.get(TOKENS).await.json().pointer("/data/0/last_used_at").is_some_and(Value::is_string)
        })
        .await;
    }

    async fn a_life_of_one_to_3650_days_is_taken(t: TestApp) {
        let dana = t.person("dana").await;
        for days in [1, 3650] {
            dana.post(TOKENS, json!({ "name": "ci", "expires_days": days })).await.expect(201).ok();
        }
        for days in [0, -1, 3651, i64::MAX, i64::MIN] {
            let refused = dana.post(TOKENS, json!({ "name": "ci", "expires_days": days })).await;
            assert_eq!(refused.problem(422, "invalid_field").at("/errors/0/field"), "expires_days", "{days}");
        }
        assert_eq!(dana.get(TOKENS).await.at("/pagination/total"), "2");
    }

    async fn unknown_scopes_and_patterns_are_refused(t: TestApp) {
        let dana = t.person("dana").await;
        let acme = t.org("acme").await;
        acme.project("web").await;
        for (body, field) in [
            (json!({ "name": "x", "scopes": ["secrets:explode"] }), "scopes"),
            (json!({ "name": "x", "scopes": ["secrets:read@moon"] }), "scopes"),
            (json!({ "name": "x", "scopes": [] }), "scopes"),
            (json!({ "name": "x", "patterns": ["web/*/*"] }), "patterns"),
            (json!({ "name": "x", "org": "acme" }), "org"),
            (json!({ "name": "x", "org": "nowhere" }), "org"),
            (json!({ "name": "" }), "name"),
            (json!({ "name": "x".repeat(201) }), "name"),
        ] {
            let refused = dana.post(TOKENS, body.clone()).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{body}");
        }
        for pattern in ["nowhere/*/*", "web/nowhere/*", "web/*/*/*", "web/pro duction/*"] {
            let body = json!({ "name": "x", "org": "acme", "patterns": ["web/*/*", pattern] });
            let refused = acme.owner.post(TOKENS, body).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "patterns[1]", "{pattern}");
        }
    }

    async fn a_token_reads_only_where_its_pattern_reaches(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, api) = (acme.project("web").await, acme.project("api").await);
        for env in [web.env("production"), web.env("development"), api.env("production")] {
            for key in ["DB_URL", "API_KEY"] {
                acme.owner.put(&env.secret(key), json!({ "value": "v" })).await.ok();
            }
        }
        let body = json!({ "name": "ci", "org": "acme", "patterns": ["web/production/DB_*"], "scopes": ["secrets:read"] });
        let token = acme.owner.token(body).await;
        token.get(&web.env("production").secret("DB_URL")).await.expect(200).ok();
        let list = token.get(&web.env("production").secrets()).await.expect(200);
        assert_eq!((list.at("/data/0/key"), list.at("/data/1/key")), ("DB_URL".into(), String::new()));
        for path in [
            web.env("production").secret("API_KEY"),
            web.env("development").secret("DB_URL"),
            api.env("production").secret("DB_URL"),
        ] {
            let status = token.get(&path).await.status();
            assert!([403, 404].contains(&status), "{path}: {status}");
        }
        token.put(&web.env("production").secret("DB_URL"), json!({ "value": "w" })).await.problem(403, "insufficient_scope");
    }

    async fn a_token_of_one_organisation_is_refused_elsewhere(t: TestApp) {
        let acme = t.org("acme").await;
        acme.owner.post("/v1/orgs", json!({ "name": "Other" })).await.expect(201).ok();
        let token = acme.owner.token(json!({ "name": "ci", "org": "acme" })).await;
        token.get("/v1/orgs/acme").await.expect(200).ok();
        let status = token.get("/v1/orgs/other").await.status();
        assert!([403, 404].contains(&status), "{status}");
        let list = token.get("/v1/orgs").await.expect(200);
        assert_eq!((list.at("/pagination/total"), list.at("/data/0/slug")), ("1".into(), "acme".into()));
        token.post("/v1/orgs", json!({ "name": "Third" })).await.problem(403, "insufficient_scope");
    }

    async fn a_token_makes_and_revokes_no_tokens_and_ends_no_session(t: TestApp) {
        let dana = t.person("dana").await;
        let token = dana.token(json!({ "name": "ci" })).await;
        let id = dana.get(TOKENS).await.at("/data/0/id");
        token.post(TOKENS, json!({ "name": "more" })).await.problem(403, "session_required");
        token.delete(&format!("{TOKENS}/{id}")).await.problem(403, "session_required");
        token.post("/v1/auth/logout", json!({})).await.problem(403, "session_required");
        token.post("/v1/auth/email/send-verification", json!({})).await.problem(403, "session_required");
        token.delete(&format!("/v1/orgs/{}", dana.personal_org)).await.problem(403, "session_required");
        token.get("/v1/auth/me").await.expect(200).ok();
    }

    async fn a_revoked_token_is_refused_at_once(t: TestApp) {
        let (dana, eve) = (t.person("dana").await, t.person("eve").await);
        let token = dana.token(json!({ "name": "ci" })).await;
        let path = format!("{TOKENS}/{}", dana.get(TOKENS).await.at("/data/0/id"));
        eve.delete(&path).await.problem(404, "not_found");
        token.get("/v1/auth/me").await.expect(200).ok();
        dana.delete(&path).await.expect(204).ok();
        token.get("/v1/auth/me").await.problem(401, "unauthenticated");
        dana.delete(&path).await.problem(404, "not_found");
        assert_eq!(dana.get(TOKENS).await.at("/pagination/total"), "0");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'token.revoked'").await, 1);
    }
}

on_each_backend! {
    async fn a_token_ends_on_its_day(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let (day, ever) = (dana.token(json!({ "name": "a", "expires_days": 1 })).await, dana.token(json!({ "name": "b" })).await);
        t.advance(Duration::from_secs(24 * 3600 - 1));
        day.get("/v1/auth/me").await.expect(200).ok();
        t.advance(Duration::from_secs(1));
        day.get("/v1/auth/me").await.problem(401, "unauthenticated");
        t.advance(Duration::from_hours(4000 * 24));
        ever.get("/v1/auth/me").await.expect(200).ok();
    }
}
