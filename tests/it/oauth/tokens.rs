//! What the tokens say, and what can be asked about them and done to them.

use std::time::Duration;

use harness::app::Options;
use harness::{Person, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::{Partner, browser, claims, error, head, partner, post};

async fn names(t: &TestApp, dana: &Person) {
    dana.patch(
        "/v1/auth/me",
        json!({ "first_name": "Dana", "last_name": "Doe", "username": "dana.doe" }),
    )
    .await
    .ok();
    t.sql("UPDATE user_emails SET verified_at = created_at").await;
}

on_both! {
    async fn an_id_token_says_who_the_person_is_to_the_client_alone(t: TestApp) {
        let dana = t.person("dana").await;
        names(&t, &dana).await;
        let portal = partner(&dana, json!({})).await;
        let tokens = portal.signs_in(&t, &browser(&t, &dana).await, "openid profile email").await;
        let id = tokens.at("/id_token");
        assert_eq!((head(&id)["typ"].as_str(), head(&id)["alg"].as_str()), (Some("JWT"), Some("RS256")));
        let said = claims(&id);
        assert_eq!((said["iss"].as_str(), said["aud"].as_str()), (Some(t.url.as_str()), Some(portal.id.as_str())));
        assert_eq!((said["sub"].as_str(), said["nonce"].as_str()), (Some(dana.id.to_string().as_str()), Some("n0nce")));
        assert_eq!((said["email"].as_str(), said["email_verified"].as_bool()), (Some("dana@example.com"), Some(true)));
        assert_eq!((said["name"].as_str(), said["preferred_username"].as_str()), (Some("Dana Doe"), Some("dana.doe")));
        assert_eq!(said["amr"], json!(["pwd"]));
        assert!(said["auth_time"].is_i64() && said["exp"].is_i64() && said["iat"].is_i64());
        let less = portal.signs_in(&t, &browser(&t, &dana).await, "openid").await;
        let less = claims(&less.at("/id_token"));
        assert!(less.get("email").is_none() && less.get("name").is_none(), "{less}");
    }

    async fn an_access_token_is_what_rfc_9068_says(t: TestApp) {
        let dana = t.person("dana").await;
        for alg in ["RS256", "ES256", "EdDSA"] {
            let portal = partner(&dana, json!({ "signing_alg": alg })).await;
            let tokens = portal.signs_in(&t, &browser(&t, &dana).await, "openid org:read").await;
            let access = tokens.at("/access_token");
            assert_eq!((head(&access)["typ"].as_str(), head(&access)["alg"].as_str()), (Some("at+jwt"), Some(alg)));
            assert_eq!(head(&tokens.at("/id_token"))["alg"], alg);
            let said = claims(&access);
            for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
                assert!(said.get(name).is_some(), "{name}: {said}");
            }
            assert_eq!((said["aud"].as_str(), said["client_id"].as_str()), (Some(t.url.as_str()), Some(portal.id.as_str())));
            assert_eq!(said["scope"], "openid org:read");
            assert_eq!(said["exp"].as_i64().zip(said["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(900));
            t.anonymous().bearer(&access).get("/v1/orgs").await.expect(200).ok();
        }
    }

    async fn userinfo_tells_what_was_agreed_to(t: TestApp) {
        let dana = t.person("dana").await;
        names(&t, &dana).await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let tokens = portal.signs_in(&t, &window, "openid email").await;
        let access = tokens.at("/access_token");
        let told = t.anonymous().bearer(&access).get("/oauth/userinfo").await.expect(200);
        assert_eq!(told.json(), json!({ "sub": dana.id.to_string(), "email": "dana@example.com", "email_verified": true }));
        let posted = post(&t.anonymous(), "/oauth/userinfo", &[("access_token", access.as_str())]).await.expect(200);
        assert_eq!(posted.json(), told.json());
        let nobody = t.anonymous().get("/oauth/userinfo").await;
        error(&nobody, 401, "invalid_token");
        assert!(nobody.header("www-authenticate").is_some_and(|value| value.contains("invalid_token")));
        let other = portal.signs_in(&t, &window, "org:read").await.at("/access_token");
        error(&t.anonymous().bearer(&other).get("/oauth/userinfo").await, 403, "insufficient_scope");
    }

    async fn who_gives_up_a_refresh_token_gives_up_all(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let (one, two) = (portal.signs_in(&t, &window, "openid offline_access org:read").await, portal.signs_in(&t, &window, "openid offline_access org:read").await);
        let works = async |tokens: &harness::Answer| t.anonymous().bearer(&tokens.at("/access_token")).get("/v1/orgs").await.status();
        let (access, refresh) = (one.at("/access_token"), two.at("/refresh_token"));
        portal.calls(&t, "/oauth/revoke", &[("token", access.as_str())]).await.expect(200).ok();
        assert_eq!((works(&one).await, works(&two).await), (401, 200), "an access token alone");
        portal.calls(&t, "/oauth/revoke", &[("token", refresh.as_str()), ("token_type_hint", "access_token")]).await.expect(200).ok();
        assert_eq!(works(&two).await, 401);
        error(&portal.renews(&t, &refresh).await, 400, "invalid_grant");
        portal.renews(&t, &one.at("/refresh_token")).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'oauth.revoked'").await, 2);
    }

    async fn what_is_none_of_a_clients_is_answered_alike(t: TestApp) {
        let dana = t.person("dana").await;
        let (portal, other) = (partner(&dana, json!({})).await, partner(&dana, json!({})).await);
        let tokens = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access org:read").await;
        for token in [tokens.at("/access_token"), tokens.at("/refresh_token"), "x".to_owned(), dana.refresh_token.clone()] {
            other.calls(&t, "/oauth/revoke", &[("token", token.as_str())]).await.expect(200).ok();
            let told = other.calls(&t, "/oauth/introspect", &[("token", token.as_str())]).await.expect(200);
            assert_eq!(told.json(), json!({ "active": false }));
        }
        let access = t.anonymous().bearer(&tokens.at("/access_token"));
        access.get("/v1/orgs").await.expect(200).ok();
        for path in ["/oauth/revoke", "/oauth/introspect"] {
            error(&portal.calls(&t, path, &[]).await, 400, "invalid_request");
            let liar = Partner { secret: Some("srm_cs_x".to_owned()), ..portal.clone() };
            error(&liar.calls(&t, path, &[("token", "x")]).await, 401, "invalid_client");
        }
        let public = partner(&dana, json!({ "confidential": false })).await;
        error(&public.calls(&t, "/oauth/introspect", &[("token", "x")]).await, 401, "invalid_client");
    }

    async fn a_client_is_told_about_its_own_tokens_while_they_live(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let tokens = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access").await;
        let ask = async |token: &str| portal.calls(&t, "/oauth/introspect", &[("token", token)]).await.expect(200).json();
        let access = ask(&tokens.at("/access_token")).await;
        assert_eq!((access["active"].as_bool(), access["sub"].as_str()), (Some(true), Some(dana.id.to_string().as_str())));
        assert_eq!((access["token_type"].as_str(), access["client_id"].as_str()), (Some("Bearer"), Some(portal.id.as_str())));
        let refresh = ask(&tokens.at("/refresh_token")).await;
        assert_eq!((refresh["active"].as_bool(), refresh["scope"].as_str()), (Some(true), Some("openid offline_access")));
        portal.renews(&t, &tokens.at("/refresh_token")).await.expect(200).ok();
        assert_eq!(ask(&tokens.at("/refresh_token")).await, json!({ "active": false }), "it was traded");
        assert_eq!(ask(&tokens.at("/id_token")).await, json!({ "active": false }), "no access token");
    }
}

on_each_backend! {
    async fn tokens_end_when_they_say(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let tokens = portal.signs_in(&t, &browser(&t, &dana).await, "openid org:read").await;
        let access = t.anonymous().bearer(&tokens.at("/access_token"));
        t.advance(Duration::from_secs(899));
        access.get("/v1/orgs").await.expect(200).ok();
        access.get("/oauth/userinfo").await.expect(200).ok();
        t.advance(Duration::from_secs(1));
        access.get("/v1/orgs").await.problem(401, "unauthenticated");
        error(&access.get("/oauth/userinfo").await, 401, "invalid_token");
        let told: Value = portal.calls(&t, "/oauth/introspect", &[("token", tokens.at("/access_token").as_str())]).await.json();
        assert_eq!(told, json!({ "active": false }));
    }
}
