//! Signing in to a realm with a password.

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{Answer, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::{realm, role, signs_in, tokens, user};
use crate::oauth::{claims, head};

/// Status and code, but for what differs with every request.
fn told(answer: &Answer) -> (u16, Value) {
    let mut body = answer.json();
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    (answer.status(), body)
}

on_both! {
    async fn a_token_says_whose_it_is_and_what_it_may(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let id = user(&acme, "jane@acme.co", "editor").await;
        let roles = acme.path(&format!("/users/{id}/roles"));
        acme.owner.post(&roles, json!({ "role": "reader" })).await.expect(201).ok();
        let answer = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200);
        assert_eq!((answer.at("/token_type"), answer.at("/expires_in")), ("Bearer".into(), "3600".into()));
        assert!(answer.at("/refresh_token").starts_with("srm_rrt_"), "{}", answer.text());
        let token = answer.at("/access_token");
        let (head, claims) = (head(&token), claims(&token));
        assert_eq!((&head["typ"], &head["alg"]), (&json!("at+jwt"), &json!("RS256")));
        let keys = t.anonymous().get("/.well-known/jwks.json").await.expect(200).json();
        assert!(keys["keys"].as_array().is_some_and(|keys| keys.iter().any(|key| key["kid"] == head["kid"])));
        let org = acme.id.to_string();
        assert_eq!(claims["iss"], json!(format!("{}/v1/orgs/{org}", t.url)));
        assert_eq!((&claims["aud"], &claims["org_id"], &claims["org"]), (&json!(org), &json!(org), &json!("acme")));
        assert_eq!(claims["sub"], json!(id));
        assert_eq!(claims["roles"], json!(["editor", "reader"]));
        assert_eq!(claims["permissions"], json!(["comments:*", "comments:read", "projects:read"]));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
        assert!(claims["jti"].as_str().is_some_and(|id| id.starts_with("tok_")) && claims["incomplete"].is_null());
        let shown = acme.owner.get(&acme.path(&format!("/users/{id}"))).await.expect(200);
        assert!(!shown.at("/last_login_at").is_empty(), "{}", shown.text());
        let log = acme.owner.get(&acme.path("/audit-logs?action=realm.tokens_issued")).await.expect(200);
        assert_eq!((log.at("/data/0/actor/type"), log.at("/data/0/actor/id")), ("realm_user".into(), id));
        assert_eq!(log.at("/data/0/actor/email"), "jane@acme.co");
    }

    async fn whoever_is_not_let_in_is_told_the_same(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let off = user(&acme, "off@acme.co", "editor").await;
        acme.owner.patch(&acme.path(&format!("/users/{off}")), json!({ "status": "disabled" })).await.expect(200).ok();
        acme.owner.post(&acme.path("/users"), json!({ "email": "new@acme.co" })).await.expect(201).ok();
        let wrong = signs_in(&t, &acme, "jane@acme.co", "wrong horse").await.problem(401, "invalid_credentials");
        for (email, password) in [
            ("nobody@acme.co", PASSWORD),
            ("off@acme.co", PASSWORD),
            ("new@acme.co", PASSWORD),
            // An account of the platform is none of the realm.
            ("acme-owner@example.com", PASSWORD),
            ("", PASSWORD),
            ("jane@acme.co", ""),
        ] {
            assert_eq!(told(&signs_in(&t, &acme, email, password).await), told(&wrong), "{email}");
        }
        let issued = "SELECT COUNT(*) FROM credentials WHERE kind IN ('realm_access', 'realm_refresh')";
        assert_eq!(t.number(issued).await, 0);
    }

    async fn a_grant_takes_its_own_fields(t: TestApp) {
        let acme = realm(&t, "acme").await;
        for (grant, fields) in [
            ("password", vec!["email", "password"]),
            ("client_credentials", vec!["client_id", "client_secret"]),
            ("refresh_token", vec!["refresh_token"]),
        ] {
            let refused = tokens(&t, &acme, json!({ "grant_type": grant })).await.problem(422, "invalid_field");
            let errors = refused.json()["errors"].as_array().cloned().unwrap_or_default();
            let named: Vec<_> = errors.iter().map(|error| error["field"].clone()).collect();
            assert_eq!(named, fields, "{grant}");
        }
        let unknown = tokens(&t, &acme, json!({ "grant_type": "authorization_code" })).await.problem(422, "invalid_field");
        assert_eq!(unknown.at("/errors/0/field"), "grant_type");
    }

    async fn a_token_always_fits_into_a_header(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let id = user(&acme, "jane@acme.co", "editor").await;
        let many: Vec<_> = (0..100).map(|number| format!("{}:{number}", "x".repeat(80))).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        role(&acme, "everything", &many).await;
        let roles = acme.path(&format!("/users/{id}/roles"));
        acme.owner.post(&roles, json!({ "role": "everything" })).await.expect(201).ok();
        let token = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/access_token");
        assert!(token.len() < 8192, "{}", token.len());
        let claims = claims(&token);
        assert_eq!((&claims["roles"], &claims["permissions"]), (&json!(["editor", "everything"]), &json!([])));
        assert_eq!(claims["incomplete"], json!(true));
        let asked = super::asks(acme.owner.client(), &token, many[7]).await;
        assert_eq!(asked.at("/allowed"), "true", "what is left out is asked for");
    }
}

on_each_backend! {
    async fn guesses_are_slowed_down_alike_whether_there_is_such_a_user(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        for email in ["jane@acme.co", "nobody@acme.co"] {
            let mut statuses = Vec::new();
            for _ in 0..4 {
                statuses.push(signs_in(&t, &acme, email, "wrong horse").await.status());
            }
            assert_eq!(statuses, [401, 401, 401, 429], "{email}");
            let waits = signs_in(&t, &acme, email, PASSWORD).await.problem(429, "rate_limited");
            assert!(waits.header("retry-after").is_some());
        }
        // Nobody else waits for it, and no other realm.
        let globex = realm(&t, "globex").await;
        user(&globex, "jane@acme.co", "editor").await;
        signs_in(&t, &globex, "jane@acme.co", PASSWORD).await.expect(200).ok();
    }

    async fn guesses_from_elsewhere_do_not_slow_down_who_was_here_before(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        for _ in 0..4 {
            signs_in(&t, &acme, "jane@acme.co", "wrong horse").await;
        }
        signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.problem(429, "rate_limited");
        t.sql("DELETE FROM throttles").await;
        signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).ok();
        // What was counted for the name is not what counts for her from here.
        for _ in 0..2 {
            signs_in(&t, &acme, "jane@acme.co", "wrong horse").await.problem(401, "invalid_credentials");
        }
        signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM throttles").await, 0, "a right password forgives");
    }
}
