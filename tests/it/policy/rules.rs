//! Making, listing and deleting access rules, and what they do.

use std::time::Duration;

use harness::app::Options;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{about, field, give, put, role};

on_both! {
    async fn a_rule_lets_its_subject_at_just_what_it_names(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let vera = acme.member("vera", "viewer").await;
        for key in ["STRIPE_KEY", "DB_URL"] {
            acme.owner.put(&web.env("production").secret(key), json!({ "value": "v" })).await.ok();
        }
        vera.get(&web.env("production").secret("STRIPE_KEY")).await.problem(403, "forbidden");
        let made = put(&acme.owner, &acme, about(&vera, "allow", "web/@prod/STRIPE_*", &["secrets:read"])).await.expect(201);
        assert!(made.at("/id").starts_with("acl_"));
        assert_eq!((made.at("/subject/email"), made.at("/pattern")), (vera.email.clone(), "web/@prod/STRIPE_*".into()));
        assert_eq!((made.at("/effect"), made.at("/created_by")), ("allow".into(), acme.owner.id.to_string()));
        vera.get(&web.env("production").secret("STRIPE_KEY")).await.expect(200).ok();
        vera.get(&web.env("production").secret("DB_URL")).await.problem(403, "forbidden");
        vera.put(&web.env("production").secret("STRIPE_KEY"), json!({ "value": "w" })).await.problem(403, "forbidden");
        acme.owner.delete(&acme.path(&format!("/acl/{}", made.at("/id")))).await.expect(204).ok();
        vera.get(&web.env("production").secret("STRIPE_KEY")).await.problem(403, "forbidden");
        acme.owner.delete(&acme.path(&format!("/acl/{}", made.at("/id")))).await.problem(404, "not_found");
    }

    async fn a_denial_wins_over_every_role_and_rule(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (dana, marked) = (acme.developer("dana").await, role(&acme, "contractor", &["org:read"]).await);
        give(&t, &acme, &dana, None, marked).await;
        let (production, staging) = (web.env("production").keys(), web.env("staging").keys());
        put(&acme.owner, &acme, about(&dana, "allow", "web/@prod", &["secrets:list"])).await.expect(201).ok();
        dana.get(&production).await.expect(200).ok();
        let subject = json!({ "type": "role", "name": "contractor" });
        let rule = json!({ "subject": subject, "effect": "deny", "pattern": "web/@prod", "permissions": ["secrets:list"] });
        let made = put(&acme.owner, &acme, rule).await.expect(201);
        assert_eq!((made.at("/subject/type"), made.at("/subject/name")), ("role".into(), "contractor".into()));
        let refused = dana.get(&production).await.problem(403, "forbidden");
        assert_eq!(refused.at("/reason"), "acl_deny");
        dana.get(&staging).await.expect(200).ok();
    }

    async fn a_subject_and_a_place_have_one_rule_whatever_the_place_is_called(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let vera = acme.member("vera", "viewer").await;
        let rule = |pattern: &str, permissions: &[&str]| about(&vera, "allow", pattern, permissions);
        let made = put(&acme.owner, &acme, rule("web/production", &["secrets:read"])).await.expect(201);
        let same = put(&acme.owner, &acme, rule("web/production/*", &["secrets:read"])).await.expect(200);
        assert_eq!(same.json(), made.json());
        acme.owner.patch(&web.path, json!({ "slug": "site" })).await.expect(200).ok();
        let changed = put(&acme.owner, &acme, rule("site/production", &["secrets:list", "secrets:write"])).await.expect(200);
        assert_eq!((changed.at("/id"), changed.at("/pattern")), (made.at("/id"), "site/production/*".into()));
        assert_eq!(changed.json()["permissions"], json!(["secrets:list", "secrets:write"]));
        // Another project under the old name is another place.
        acme.project("web").await;
        put(&acme.owner, &acme, rule("web/production", &["secrets:list"])).await.expect(201).ok();
        let actions = "SELECT COUNT(*) FROM journal WHERE action IN ('access_rule.created', 'access_rule.updated')";
        assert_eq!(t.number(actions).await, 3, "what changes nothing is not recorded");
        let listed = acme.owner.get(&acme.path("/acl")).await.expect(200);
        assert_eq!((listed.at("/pagination/total"), listed.at("/data/0/pattern")), ("2".into(), "site/production/*".into()));
        acme.owner.delete(&acme.path("/projects/site")).await.expect(204).ok();
        let shown = async || {
            let listed = acme.owner.get(&acme.path("/acl")).await.expect(200);
            [listed.at("/data/0/pattern"), listed.at("/data/0/stale"), listed.at("/data/1/stale")]
        };
        let gone = format!("{}/production/*", web.id);
        assert_eq!(shown().await, [gone.as_str(), "true", "false"], "what is gone shows its id");
        acme.owner.post(&acme.path("/projects/site/restore"), json!({})).await.expect(200).ok();
        assert_eq!(shown().await, ["site/production/*", "false", "false"]);
        acme.owner.delete(&format!("{}/environments/production", acme.path("/projects/site"))).await.expect(204).ok();
        let [pattern, stale, _] = shown().await;
        assert!(pattern.starts_with("site/env_") && stale == "true", "{pattern}");
    }

    async fn a_subject_is_named_by_id_address_or_name(t: TestApp) {
        let acme = t.org("acme").await;
        let (robin, claimed) = (t.proved_person("robin").await, t.person("ceo").await);
        let id = role(&acme, "contractor", &[]).await;
        let rule = |subject: &serde_json::Value| json!({ "subject": subject, "pattern": "*", "permissions": ["envs:read"] });
        for (subject, name) in [
            (json!({ "type": "user", "email": "Robin@Example.com" }), robin.id.to_string()),
            (json!({ "type": "role", "name": "contractor" }), id.to_string()),
            (json!({ "type": "role", "name": "viewer", "level": "project" }), "rol_".to_owned()),
        ] {
            let made = put(&acme.owner, &acme, rule(&subject)).await.expect(201);
            assert!(made.at("/subject/id").starts_with(&name), "{subject}: {}", made.text());
        }
        for (subject, expected) in [
            (json!({ "type": "user", "email": "nobody@example.com" }), "subject.email"),
            (json!({ "type": "user", "email": "nobody" }), "subject.email"),
            (json!({ "type": "user", "email": claimed.email }), "subject.email"),
            (json!({ "type": "user", "id": "usr_00000000000000000000000000" }), "subject.id"),
            (json!({ "type": "user", "id": id.to_string() }), "subject.id"),
            (json!({ "type": "user", "name": "robin" }), "subject.name"),
            (json!({ "type": "user" }), "subject.email"),
            (json!({ "type": "user", "id": robin.id.to_string(), "email": robin.email }), "subject.email"),
            (json!({ "type": "role", "name": "nothing" }), "subject.name"),
            (json!({ "type": "role", "name": "member", "level": "project" }), "subject.name"),
            (json!({ "type": "role" }), "subject.name"),
            (json!({ "type": "service_account", "name": "nothing" }), "subject.name"),
            (json!({ "type": "service_account", "id": "sa_00000000000000000000000000" }), "subject.id"),
            (json!({ "type": "group", "name": "x" }), "subject.type"),
        ] {
            assert_eq!(field(put(&acme.owner, &acme, rule(&subject)).await), expected, "{subject}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM acl_rules").await, 3);
    }

    async fn what_no_rule_can_say_is_refused_by_its_field(t: TestApp) {
        let acme = t.org("acme").await;
        acme.project("web").await;
        let vera = acme.member("vera", "viewer").await;
        for (more, expected) in [
            (json!({ "pattern": "web/*/*/*" }), "pattern"),
            (json!({ "pattern": "nowhere" }), "pattern"),
            (json!({ "pattern": "web/nowhere" }), "pattern"),
            (json!({ "permissions": [] }), "permissions"),
            (json!({ "permissions": ["secrets:read", "secrets:explode"] }), "permissions[1]"),
            (json!({ "permissions": ["org:read"] }), "permissions[0]"),
            (json!({ "permissions": ["envs:read"], "pattern": "web/*/K" }), "permissions[0]"),
            (json!({ "permissions": ["projects:read"], "effect": "deny" }), "permissions[0]"),
            (json!({ "effect": "maybe" }), "effect"),
            (json!({ "expires_at": "2020-01-01T00:00:00Z" }), "expires_at"),
            (json!({ "expires_at": "tomorrow" }), "expires_at"),
        ] {
            let mut rule = about(&vera, "allow", "web", &["secrets:read"]);
            rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            assert_eq!(field(put(&acme.owner, &acme, rule).await), expected, "{more}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM acl_rules").await, 0);
    }

    async fn filters_find_the_rules_of_a_subject_a_project_or_an_effect(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, _) = (acme.project("web").await, acme.project("ops").await);
        let (vera, dana) = (acme.member("vera", "viewer").await, acme.developer("dana").await);
        for (person, effect, pattern) in
            [(&vera, "allow", "web/@dev"), (&vera, "deny", "ops"), (&dana, "deny", "*/*/DB_*"), (&dana, "allow", "o*")]
        {
            put(&acme.owner, &acme, about(person, effect, pattern, &["secrets:read"])).await.expect(201).ok();
        }
        for (query, patterns) in [
            (format!("subject={}", vera.id), vec!["web/@dev/*", "ops/*/*"]),
            ("effect=deny".to_owned(), vec!["ops/*/*", "*/*/DB_*"]),
            ("project=ops".to_owned(), vec!["ops/*/*", "*/*/DB_*", "o*/*/*"]),
            (format!("project={}&effect=allow", web.id), vec!["web/@dev/*"]),
            (format!("subject={}", acme.owner.id), vec![]),
        ] {
            let listed = acme.owner.get(&acme.path(&format!("/acl?{query}"))).await.expect(200).json();
            let found: Vec<_> = listed["data"].as_array().unwrap().iter().map(|rule| rule["pattern"].clone()).collect();
            assert_eq!((found.len(), json!(found)), (patterns.len(), json!(patterns)), "{query}");
        }
        assert_eq!(field(acme.owner.get(&acme.path("/acl?project=nowhere")).await), "project");
        assert_eq!(field(acme.owner.get(&acme.path("/acl?subject=vera")).await), "subject");
        vera.get(&acme.path("/acl")).await.problem(403, "forbidden");
    }
}

on_each_backend! {
    async fn a_rule_ends_at_its_very_instant_and_a_denial_too(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let (vera, dana) = (acme.member("vera", "viewer").await, acme.developer("dana").await);
        let end = t.clock.now() + Duration::from_mins(5);
        for (person, effect) in [(&vera, "allow"), (&dana, "deny")] {
            let mut rule = about(person, effect, "web", &["secrets:list"]);
            rule["expires_at"] = json!(end.to_string());
            let made = put(&acme.owner, &acme, rule).await.expect(201);
            assert_eq!(made.at("/expires_at"), end.to_string());
        }
        let both = async || (vera.get(&env.keys()).await.status(), dana.get(&env.keys()).await.status());
        t.advance(Duration::from_micros(299_999_999));
        assert_eq!(both().await, (200, 403));
        t.advance(Duration::from_micros(1));
        assert_eq!(both().await, (403, 200));
        assert_eq!(acme.owner.get(&acme.path("/acl")).await.at("/pagination/total"), "2", "what ended is still shown");
    }
}
