//! Service accounts trade their key for a token that lives for minutes.

use std::time::Duration;

use harness::app::Options;
use harness::{Client, TestApp, on_both, on_each_backend};
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

    async fn a_token_ends_with_the_key_that_it_was_traded_for(t: TestApp) {
        let acme = t.org("acme").await;
        let robot = json!({ "name": "robot", "role": "viewer" });
        let robot = acme.owner.post(&acme.path("/service-accounts"), robot).await.expect(201);
        let id = robot.at("/client_id");
        let keys = acme.path(&format!("/service-accounts/{id}/keys"));
        let second = acme.owner.post(&keys, json!({})).await.expect(201).at("/key");
        let first = robot.at("/client_secret");
        let (of_first, of_second) = (token(&t, &id, &first, "").await.expect(200), token(&t, &id, &second, "").await.expect(200));
        let works = async |tokens: &harness::Answer| {
            t.anonymous().bearer(&tokens.at("/access_token")).get("/v1/orgs/acme").await.status()
        };
        assert_eq!((works(&of_first).await, works(&of_second).await), (200, 200));
        acme.owner.delete(&format!("{keys}/{}", robot.at("/key_id"))).await.expect(204).ok();
        assert_eq!((works(&of_first).await, works(&of_second).await), (401, 200));
        let ended = of_first.at("/access_token");
        let ask = [("client_id", id.as_str()), ("client_secret", second.as_str()), ("token", ended.as_str())];
        let told = post(&t.anonymous(), "/oauth/introspect", &ask).await.expect(200);
        assert_eq!(told.json(), json!({ "active": false }));
        // A token that is given up alone leaves its key as it is.
        let access = of_second.at("/access_token");
        let given_up = [("client_id", id.as_str()), ("client_secret", second.as_str()), ("token", access.as_str())];
        post(&t.anonymous(), "/oauth/revoke", &given_up).await.expect(200).ok();
        assert_eq!(works(&of_second).await, 401);
        assert_eq!(works(&token(&t, &id, &second, "").await.expect(200)).await, 200);
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

on_each_backend! {
    async fn a_token_lives_no_longer_than_its_key(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let robot = json!({ "name": "robot", "role": "viewer", "expires_days": 1 });
        let robot = acme.owner.post(&acme.path("/service-accounts"), robot).await.expect(201);
        let (id, key) = (robot.at("/client_id"), robot.at("/client_secret"));
        assert_eq!(token(&t, &id, &key, "").await.expect(200).at("/expires_in"), "900");
        t.advance(Duration::from_hours(24) - Duration::from_mins(5));
        let last = token(&t, &id, &key, "").await.expect(200);
        assert_eq!(last.at("/expires_in"), "300");
        let said = claims(&last.at("/access_token"));
        assert_eq!(said["exp"].as_i64().zip(said["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(300));
        assert!(said.get("scope").is_none() && last.json().get("scope").is_none(), "nothing narrows it: {said}");
        let access = t.anonymous().bearer(&last.at("/access_token"));
        t.advance(Duration::from_secs(299));
        access.get("/v1/orgs/acme").await.expect(200).ok();
        t.advance(Duration::from_secs(1));
        access.get("/v1/orgs/acme").await.problem(401, "unauthenticated");
    }
}
