//! Clients: made, changed, rotated, ended, and their maker's own.

use harness::on_both;
use serde_json::json;

use super::{Partner, REDIRECT, browser, error, partner};

const CLIENTS: &str = "/v1/oauth/clients";

on_both! {
    async fn a_secret_is_shown_once_and_a_public_client_has_none(t: TestApp) {
        let dana = t.person("dana").await;
        let body = json!({ "name": "Portal", "confidential": true, "redirect_uris": [REDIRECT] });
        let made = dana.post(CLIENTS, body.clone()).await.expect(201);
        let (id, secret) = (made.at("/id"), made.at("/client_secret"));
        assert!(id.starts_with("cli_") && secret.starts_with("srm_cs_"));
        assert_eq!(made.at("/client_id"), id);
        assert_eq!(made.json()["scopes"], json!(["openid", "profile", "email", "offline_access"]));
        let shown = dana.get(&format!("{CLIENTS}/{id}")).await.expect(200);
        assert!(!shown.text().contains(&secret));
        assert!(!dana.get(CLIENTS).await.text().contains(&secret));
        let public = json!({ "name": "Tool", "confidential": false, "redirect_uris": ["http://127.0.0.1/cb"] });
        let public = dana.post(CLIENTS, public).await.expect(201);
        assert!(public.json().get("client_secret").is_none());
        let rotate = format!("{CLIENTS}/{}/rotate-secret", public.at("/id"));
        dana.post(&rotate, json!({})).await.problem(409, "conflict");
    }

    async fn what_cannot_be_a_client_is_refused_by_its_field(t: TestApp) {
        let dana = t.person("dana").await;
        for (body, field) in [
            (json!({ "name": "" }), "name"),
            (json!({ "redirect_uris": [] }), "redirect_uris"),
            (json!({ "redirect_uris": ["http://portal.example.com/cb"] }), "redirect_uris[0]"),
            (json!({ "redirect_uris": [REDIRECT, "https://*.example.com/"] }), "redirect_uris[1]"),
            (json!({ "redirect_uris": ["com.example.app:/cb"] }), "redirect_uris[0]"),
            (json!({ "grant_types": ["password"] }), "grant_types[0]"),
            (json!({ "grant_types": ["implicit"] }), "grant_types[0]"),
            (json!({ "grant_types": [] }), "grant_types"),
            (json!({ "scopes": ["openid", "secrets:explode"] }), "scopes[1]"),
            (json!({ "scopes": ["*"] }), "scopes[0]"),
            (json!({ "scopes": ["openid email"] }), "scopes[0]"),
            (json!({ "signing_alg": "none" }), "signing_alg"),
            (json!({ "signing_alg": "HS256" }), "signing_alg"),
            (json!({ "homepage": "http://portal.example.com" }), "homepage"),
            (json!({ "homepage": "javascript:alert(1)" }), "homepage"),
            (json!({ "confidential": false, "grant_types": ["client_credentials"] }), "grant_types[0]"),
        ] {
            let mut whole = json!({ "name": "Portal", "confidential": true, "redirect_uris": [REDIRECT] });
            for (name, value) in body.as_object().unwrap() {
                whole[name] = value.clone();
            }
            let refused = dana.post(CLIENTS, whole).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{body}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM oauth_clients").await, 0);
    }

    async fn nobody_sees_or_changes_the_clients_of_others(t: TestApp) {
        let (dana, erin) = (t.person("dana").await, t.person("erin").await);
        let portal = partner(&dana, json!({})).await;
        let path = format!("{CLIENTS}/{}", portal.id);
        assert_eq!(erin.get(CLIENTS).await.at("/pagination/total"), "0");
        erin.get(&path).await.problem(404, "not_found");
        erin.patch(&path, json!({ "name": "mine" })).await.problem(404, "not_found");
        erin.delete(&path).await.problem(404, "not_found");
        erin.post(&format!("{path}/rotate-secret"), json!({})).await.problem(404, "not_found");
        let token = dana.token(json!({ "name": "ci" })).await;
        token.get(CLIENTS).await.problem(403, "session_required");
    }

    async fn an_old_secret_works_for_as_long_as_was_said(t: TestApp) {
        let dana = t.person("dana").await;
        let old = partner(&dana, json!({ "grant_types": ["client_credentials"], "redirect_uris": [] })).await;
        let rotate = format!("{CLIENTS}/{}/rotate-secret", old.id);
        let works = |which: Partner| { let t = &t; async move { which.token(t, &[("grant_type", "client_credentials")]).await } };
        let second = dana.post(&rotate, json!({ "overlap_hours": 1 })).await.expect(200).at("/client_secret");
        let second = Partner { secret: Some(second), ..old.clone() };
        works(old.clone()).await.expect(200).ok();
        works(second.clone()).await.expect(200).ok();
        t.sql("UPDATE credentials SET expires_at = 1 WHERE kind = 'client_secret' AND expires_at IS NOT NULL").await;
        error(&works(old).await, 401, "invalid_client");
        let third = dana.post(&rotate, json!({})).await.expect(200).at("/client_secret");
        error(&works(second.clone()).await, 401, "invalid_client");
        works(Partner { secret: Some(third), ..second }).await.expect(200).ok();
        for hours in [-1, 169] {
            dana.post(&rotate, json!({ "overlap_hours": hours })).await.problem(422, "invalid_field");
        }
    }

    async fn a_client_that_is_switched_off_or_deleted_takes_everything_with_it(t: TestApp) {
        let dana = t.person("dana").await;
        for ends in ["off", "deleted"] {
            let portal = partner(&dana, json!({})).await;
            let window = browser(&t, &dana).await;
            let tokens = portal.signs_in(&t, &window, "openid offline_access org:read").await;
            let access = t.anonymous().bearer(&tokens.at("/access_token"));
            access.get("/v1/orgs").await.expect(200).ok();
            let path = format!("{CLIENTS}/{}", portal.id);
            if ends == "off" {
                dana.patch(&path, json!({ "enabled": false })).await.expect(200).ok();
            } else {
                dana.delete(&path).await.expect(204).ok();
            }
            access.get("/v1/orgs").await.problem(401, "unauthenticated");
            assert_eq!(access.get("/oauth/userinfo").await.status(), 401);
            error(&portal.renews(&t, &tokens.at("/refresh_token")).await, 401, "invalid_client");
            assert_eq!(window.get(&portal.asks(&[])).await.status(), 400, "nobody is asked any more");
            if ends == "off" {
                dana.patch(&path, json!({ "enabled": true })).await.expect(200).ok();
                error(&portal.renews(&t, &tokens.at("/refresh_token")).await, 400, "invalid_grant");
                access.get("/v1/orgs").await.problem(401, "unauthenticated");
            }
        }
    }

    async fn the_clients_of_an_account_that_is_deleted_end_with_it(t: TestApp) {
        let (dana, erin) = (t.person("dana").await, t.person("erin").await);
        let portal = partner(&dana, json!({})).await;
        let tokens = portal.signs_in(&t, &browser(&t, &erin).await, "openid offline_access org:read").await;
        let access = t.anonymous().bearer(&tokens.at("/access_token"));
        access.get("/v1/orgs").await.expect(200).ok();
        dana.delete("/v1/auth/me").await.expect(204).ok();
        access.get("/v1/orgs").await.problem(401, "unauthenticated");
        error(&portal.renews(&t, &tokens.at("/refresh_token")).await, 401, "invalid_client");
    }
}
