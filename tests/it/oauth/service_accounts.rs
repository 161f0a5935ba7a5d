//! Service accounts trade their key for a token that lives for minutes.

use harness::{Client, TestApp, on_both};
use serde_json::json;

use super::{claims, error, partner, post};

async fn token(t: &TestApp, id: &str, key: &str, scope: &str) -> harness::Answer {
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", key),
        ("scope", scope),
    ];
    post(&t.anonymous(), "/oauth/token", &pairs).await
}

on_both! {
    async fn a_key_is_traded_for_a_token_that_narrows(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        acme.owner.put(&web.env("development").secret("DB_URL"), json!({ "value": "v" })).await.ok();
        let robot = json!({ "name": "robot", "role": "developer" });
        let robot = acme.owner.post(&acme.path("/service-accounts"), robot).await.expect(201);
        let (id, key) = (robot.at("/client_id"), robot.at("/client_secret"));
        let access = |answer: &harness::Answer| -> Client { t.anonymous().bearer(&answer.at("/access_token")) };
        let all = token(&t, &id, &key, "").await.expect(200);
        assert!(all.json().get("refresh_token").is_none() && all.json().get("id_token").is_none());
        assert_eq!((claims(&all.at("/access_token"))["sub"].as_str(), all.at("/org_id")), (Some(id.as_str()), acme.id.to_string()));
        let path = web.env("development").secret("DB_URL");
        access(&all).get(&path).await.expect(200).ok();
        access(&all).put(&path, json!({ "value": "w" })).await.ok();
        let less = token(&t, &id, &key, "secrets:read@dev").await.expect(200);
        access(&less).get(&path).await.expect(200).ok();
        access(&less).put(&path, json!({ "value": "w" })).await.problem(403, "insufficient_scope");
        error(&token(&t, &id, &key, "openid").await, 400, "invalid_scope");
        error(&t.anonymous().bearer(&all.at("/access_token")).get("/oauth/userinfo").await, 401, "invalid_token");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'oauth.tokens_issued'").await, 2);
        let account = acme.path(&format!("/service-accounts/{id}"));
        acme.owner.patch(&account, json!({ "enabled": false })).await.expect(200).ok();
        access(&all).get(&path).await.problem(401, "unauthenticated");
        error(&token(&t, &id, &key, "").await, 401, "invalid_client");
    }

    async fn only_its_own_key_is_taken_and_from_where_it_may_come(t: TestApp) {
        let acme = t.org("acme").await;
        let made = async |body| acme.owner.post(&acme.path("/service-accounts"), body).await.expect(201);
        let (one, two) = (made(json!({ "name": "one" })).await, made(json!({ "name": "two" })).await);
        error(&token(&t, &one.at("/client_id"), &two.at("/client_secret"), "").await, 401, "invalid_client");
        error(&token(&t, &one.at("/client_id"), "srm_sak_x", "").await, 401, "invalid_client");
        let far = made(json!({ "name": "far", "ip_allow": ["192.0.2.0/24"] })).await;
        error(&token(&t, &far.at("/client_id"), &far.at("/client_secret"), "").await, 401, "invalid_client");
        let code = [("grant_type", "authorization_code"), ("client_id", "x"), ("code", "x"), ("code_verifier", "x")];
        error(&post(&t.anonymous(), "/oauth/token", &code).await, 401, "invalid_client");
        let (id, key) = (one.at("/client_id"), one.at("/client_secret"));
        let refresh = [("grant_type", "refresh_token"), ("client_id", id.as_str()), ("client_secret", key.as_str()), ("refresh_token", "x")];
        error(&post(&t.anonymous(), "/oauth/token", &refresh).await, 400, "unauthorized_client");
    }

    async fn a_clients_own_token_says_who_it_is_and_opens_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let body = json!({ "grant_types": ["client_credentials"], "redirect_uris": [], "scopes": ["org:read"] });
        let portal = partner(&acme.owner, body).await;
        let answer = portal.token(&t, &[("grant_type", "client_credentials"), ("scope", "org:read")]).await.expect(200);
        let token = answer.at("/access_token");
        assert_eq!(claims(&token)["sub"].as_str(), Some(portal.id.as_str()));
        t.anonymous().bearer(&token).get("/v1/orgs").await.problem(401, "unauthenticated");
        let told = portal.calls(&t, "/oauth/introspect", &[("token", token.as_str())]).await.expect(200);
        assert_eq!((told.at("/active"), told.at("/sub")), ("true".into(), portal.id.clone()));
        error(&portal.token(&t, &[("grant_type", "client_credentials"), ("scope", "secrets:read")]).await, 400, "invalid_scope");
        portal.calls(&t, "/oauth/revoke", &[("token", token.as_str())]).await.expect(200).ok();
        assert_eq!(portal.calls(&t, "/oauth/introspect", &[("token", token.as_str())]).await.at("/active"), "false");
    }
}
