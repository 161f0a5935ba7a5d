//! Codes for tokens.

use std::time::Duration;

use harness::app::Options;
use harness::mailbox::expect_letter;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{Partner, REDIRECT, VERIFIER, browser, error, partner, post};

on_both! {
    async fn a_code_is_traded_for_tokens_once(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let code = portal.code(&window, &[("scope", "openid email offline_access")]).await;
        let tokens = portal.trades(&t, &code).await.expect(200);
        assert_eq!((tokens.at("/token_type"), tokens.at("/expires_in")), ("Bearer".into(), "900".into()));
        assert_eq!(tokens.at("/scope"), "openid email offline_access");
        assert!(tokens.at("/refresh_token").starts_with("srm_crt_"));
        assert_eq!(tokens.header("cache-control"), Some("no-store"));
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'oauth.tokens_issued'").await, 1);
    }

    async fn without_offline_access_there_is_no_refresh_token(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let tokens = portal.signs_in(&t, &browser(&t, &dana).await, "openid").await;
        assert!(tokens.json().get("refresh_token").is_none());
    }

    async fn a_code_that_comes_twice_ends_all_that_came_of_it(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let other = portal.signs_in(&t, &window, "openid offline_access org:read").await;
        let code = portal.code(&window, &[("scope", "openid offline_access org:read")]).await;
        let tokens = portal.trades(&t, &code).await.expect(200);
        let access = t.anonymous().bearer(&tokens.at("/access_token"));
        access.get("/v1/orgs").await.expect(200).ok();
        error(&portal.trades(&t, &code).await, 400, "invalid_grant");
        access.get("/v1/orgs").await.problem(401, "unauthenticated");
        assert_eq!(access.get("/oauth/userinfo").await.status(), 401);
        error(&portal.renews(&t, &tokens.at("/refresh_token")).await, 400, "invalid_grant");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'oauth.reuse_detected'").await, 1);
        expect_letter(&t, "dana@example.com", "One of your sessions was ended", 1).await;
        portal.renews(&t, &other.at("/refresh_token")).await.expect(200).ok();
    }

    async fn of_two_that_trade_one_code_at_once_one_succeeds(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        for _ in 0..5 {
            let code = portal.code(&window, &[]).await;
            let (one, two) = tokio::join!(portal.trades(&t, &code), portal.trades(&t, &code));
            let mut statuses = [one.status(), two.status()];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 400]);
        }
    }

    async fn a_code_fits_its_client_its_address_and_its_verifier_alone(t: TestApp) {
        let dana = t.person("dana").await;
        let (portal, other) = (partner(&dana, json!({})).await, partner(&dana, json!({})).await);
        let window = browser(&t, &dana).await;
        let wrong_verifier = "a".repeat(43);
        for (client, redirect, verifier) in [
            (&other, REDIRECT, VERIFIER),
            (&portal, "https://portal.example.com/other", VERIFIER),
            (&portal, "", VERIFIER),
            (&portal, REDIRECT, wrong_verifier.as_str()),
            (&portal, REDIRECT, super::CHALLENGE),
        ] {
            let code = portal.code(&window, &[]).await;
            let pairs = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", redirect), ("code_verifier", verifier)];
            error(&client.token(&t, &pairs).await, 400, "invalid_grant");
            error(&portal.trades(&t, &code).await, 400, "invalid_grant");
        }
        let code = portal.code(&window, &[]).await;
        let without = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", REDIRECT)];
        error(&portal.token(&t, &without).await, 400, "invalid_request");
        portal.trades(&t, &code).await.expect(200).ok();
    }

    async fn a_client_proves_itself_in_the_header_or_the_form(t: TestApp) {
        let dana = t.person("dana").await;
        let mut portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let secret = portal.secret.clone().unwrap();
        let basic = |id: &str, secret: &str| {
            use base64::Engine;
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("{id}:{secret}"));
            t.anonymous().with("Authorization", &format!("Basic {pair}"))
        };
        let code = portal.code(&window, &[]).await;
        let pairs = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", REDIRECT), ("code_verifier", VERIFIER)];
        let wrong = post(&basic(&portal.id, "srm_cs_x"), "/oauth/token", &pairs).await;
        error(&wrong, 401, "invalid_client");
        assert!(wrong.header("www-authenticate").is_some_and(|value| value.starts_with("Basic")));
        let mut twice = pairs.to_vec();
        twice.push(("client_secret", secret.as_str()));
        error(&post(&basic(&portal.id, &secret), "/oauth/token", &twice).await, 400, "invalid_request");
        post(&basic(&portal.id, &secret), "/oauth/token", &pairs).await.expect(200).ok();
        portal.secret = None;
        error(&portal.trades(&t, &code).await, 401, "invalid_client");
        let public = partner(&dana, json!({ "confidential": false })).await;
        let liar = Partner { secret: Some(secret), ..public };
        error(&liar.trades(&t, &code).await, 401, "invalid_client");
    }

    async fn there_is_no_password_grant_and_no_other(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        for grant in ["password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "AUTHORIZATION_CODE"] {
            let pairs = [("grant_type", grant), ("username", "dana@example.com"), ("password", harness::people::PASSWORD)];
            error(&portal.token(&t, &pairs).await, 400, "unsupported_grant_type");
        }
        error(&portal.token(&t, &[]).await, 400, "invalid_request");
        error(&portal.token(&t, &[("grant_type", "refresh_token"), ("grant_type", "refresh_token")]).await, 400, "invalid_request");
        error(&portal.token(&t, &[("grant_type", super::DEVICE_GRANT), ("device_code", "x")]).await, 400, "unauthorized_client");
        let json = t.anonymous().post("/oauth/token", json!({ "grant_type": "refresh_token" })).await;
        error(&json, 400, "invalid_request");
        t.anonymous().get("/oauth/token").await.problem(405, "method_not_allowed");
    }
}

on_each_backend! {
    async fn a_code_works_for_a_minute(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let (one, two) = (portal.code(&window, &[]).await, portal.code(&window, &[]).await);
        t.advance(Duration::from_secs(59));
        portal.trades(&t, &one).await.expect(200).ok();
        t.advance(Duration::from_secs(1));
        error(&portal.trades(&t, &two).await, 400, "invalid_grant");
    }
}
