//! Personal tokens.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::{Client, TestApp, on_both, on_each_backend};
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
        let me = token.get("/v1/auth/me").await.expect(200);
        assert_eq!((me.at("/orgs/0/slug"), me.at("/orgs/1/slug")), ("acme".into(), String::new()));
        token.post("/v1/orgs", json!({ "name": "Third" })).await.problem(403, "insufficient_scope");
    }

    async fn a_token_shows_what_it_is_narrowed_to_in_the_names_of_today(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let patterns = json!(["web/production/DB_*", "w*/@dev"]);
        let body = json!({ "name": "ci", "org": "acme", "patterns": patterns, "scopes": ["secrets:read"] });
        let made = acme.owner.post(TOKENS, body).await.expect(201);
        let shown = json!(["web/production/DB_*", "w*/@dev/*"]);
        assert_eq!((&made.json()["patterns"], made.at("/org")), (&shown, "acme".into()));
        assert_eq!(made.at("/org_id"), acme.id.to_string());
        acme.owner.patch(&web.path, json!({ "slug": "site" })).await.expect(200).ok();
        acme.owner.patch("/v1/orgs/acme", json!({ "slug": "apex" })).await.expect(200).ok();
        let listed = acme.owner.get(TOKENS).await.expect(200);
        assert_eq!((listed.at("/data/0/patterns/0"), listed.at("/data/0/org")), ("site/production/DB_*".into(), "apex".into()));
        acme.owner.delete("/v1/orgs/apex/projects/site").await.expect(204).ok();
        let gone = acme.owner.get(TOKENS).await.expect(200);
        assert!(gone.at("/data/0/patterns/0").starts_with(&format!("{}/env_", web.id)), "{}", gone.text());
        assert_eq!(gone.at("/data/0/patterns/1"), "w*/@dev/*");
        let plain = acme.owner.post(TOKENS, json!({ "name": "all" })).await.expect(201).json();
        assert_eq!((&plain["patterns"], plain.get("org"), plain.get("org_id")), (&json!([]), None, None));
    }

    async fn a_token_names_nothing_to_those_from_whom_it_is_hidden(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, api) = (acme.project("web").await, acme.project("api").await);
        acme.project("ops").await;
        let dana = t.person("dana").await;
        for project in [&web, &api] {
            acme.grant(dana.id, Some(project.id), "developer").await;
        }
        let body = |patterns: Value| json!({ "name": "ci", "org": "acme", "patterns": patterns });
        // Nor can what is hidden be named.
        let said = async |pattern: &str| {
            let refused = dana.post(TOKENS, body(json!(["web", pattern]))).await.problem(422, "invalid_field");
            refused.json()["errors"].clone()
        };
        assert_eq!(said("ops").await, said("nothing").await);
        assert_eq!(said("ops/production").await[0]["field"], "patterns[1]");
        dana.post(TOKENS, body(json!(["web/production"]))).await.expect(201).ok();
        let narrow = dana.token(body(json!(["api"]))).await;
        let seen = async |by: &Client| {
            let list = by.get(TOKENS).await.expect(200);
            ["/data/0/patterns/0", "/data/1/patterns/0", "/data/1/org"].map(|at| list.at(at))
        };
        assert_eq!(seen(dana.client()).await, ["api/*/*", "web/production/*", "acme"]);
        let [own, others, org] = seen(&narrow).await;
        assert_eq!((own.as_str(), org.as_str()), ("api/*/*", "acme"));
        assert!(others.starts_with(&format!("{}/env_", web.id)), "a narrow token reads no names beyond: {others}");
        acme.owner.delete(&format!("{}/members/{}", web.path, dana.id)).await.expect(204).ok();
        let [own, others, org] = seen(dana.client()).await;
        assert_eq!((own.as_str(), org.as_str()), ("api/*/*", "acme"));
        assert!(others.starts_with(&format!("{}/env_", web.id)), "{others}");
        acme.owner.delete(&format!("{}/members/{}", api.path, dana.id)).await.expect(204).ok();
        let [own, _, org] = seen(dana.client()).await;
        assert_eq!((own, org.as_str()), (format!("{}/*/*", api.id), ""));
    }

    async fn a_token_never_exceeds_its_owner(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        for env in ["development", "staging", "production"] {
            acme.owner.put(&web.env(env).secret("K"), json!({ "value": "v" })).await.ok();
        }
        let dana = acme.developer("dana").await;
        // Scopes may say more than the owner has; they give nothing.
        let scopes = json!(["secrets:read", "secrets:write", "audit:read", "org:read", "org:delete"]);
        let (wide, scoped) = (dana.token(json!({ "name": "a" })).await, dana.token(json!({ "name": "b", "scopes": scopes })).await);
        let answers = async |by: &Client| {
            let mut all = Vec::new();
            for env in ["development", "staging", "production"] {
                all.push(by.get(&web.env(env).secret("K")).await.status());
            }
            all.push(by.put(&web.env("staging").secret("K"), json!({ "value": "v" })).await.status());
            all.push(by.get(&acme.path("/audit-logs")).await.status());
            all
        };
        for by in [dana.client(), &wide, &scoped] {
            assert_eq!(answers(by).await, [200, 200, 403, 200, 403]);
        }
        let refused = scoped.get(&web.env("production").secret("K")).await.problem(403, "forbidden");
        assert_eq!(refused.at("/reason"), "no_grant", "it is the owner who lacks it");
        let member = acme.path(&format!("/members/{}", dana.id));
        acme.owner.patch(&member, json!({ "role": "viewer" })).await.expect(200).ok();
        for by in [dana.client(), &wide, &scoped] {
            assert_eq!(answers(by).await, [200, 403, 403, 403, 403]);
        }
        acme.owner.patch(&member, json!({ "role": "admin" })).await.expect(200).ok();
        assert_eq!(answers(&scoped).await, [200; 5]);
        scoped.get(&acme.path("/members")).await.problem(403, "insufficient_scope");
        wide.get(&acme.path("/members")).await.expect(200).ok();
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
    async fn scopes_places_organisation_and_end_each_narrow_a_token(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let (web, api) = (acme.project("web").await, acme.project("api").await);
        let (dev, prod) = (web.env("development"), web.env("production"));
        acme.owner.post("/v1/orgs", json!({ "name": "Other" })).await.expect(201).ok();
        for secret in [dev.secret("DB_URL"), dev.secret("API_KEY"), prod.secret("DB_URL"), api.env("development").secret("DB_URL")] {
            acme.owner.put(&secret, json!({ "value": "v" })).await.ok();
        }
        let narrow = json!({
            "name": "ci", "org": "acme", "patterns": ["web/*/DB_*"], "scopes": ["secrets:read@dev", "secrets:write"],
            "expires_days": 1,
        });
        let token = acme.owner.token(narrow).await;
        let value = || json!({ "value": "w" });
        for (what, answer, status) in [
            ("all of it fits", token.get(&dev.secret("DB_URL")).await, 200),
            ("written in every class", token.put(&prod.secret("DB_URL"), value()).await, 200),
            ("read in one class only", token.get(&prod.secret("DB_URL")).await, 403),
            ("another key", token.get(&dev.secret("API_KEY")).await, 403),
            ("another key", token.put(&dev.secret("API_KEY"), value()).await, 403),
            ("another permission", token.delete(&dev.secret("DB_URL")).await, 403),
            ("another permission", token.get(&acme.path("/members")).await, 403),
            ("another project", token.get(&api.env("development").secret("DB_URL")).await, 404),
            ("another organisation", token.get("/v1/orgs/other").await, 404),
        ] {
            assert_eq!(answer.status(), status, "{what}: {}", answer.text());
            assert!(status != 403 || answer.code() == "insufficient_scope", "{what}: {}", answer.text());
        }
        t.advance(Duration::from_hours(24));
        token.get(&dev.secret("DB_URL")).await.problem(401, "unauthenticated");
    }

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
