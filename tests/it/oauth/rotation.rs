//! Keys take turns, and what the old ones signed goes on until it dies.

use std::time::Duration;

use domain::signing::{self, State};
use harness::app::Options;
use harness::{TestApp, on_each_backend};
use serde_json::json;

use super::{browser, head, partner};

async fn kids(t: &TestApp) -> Vec<String> {
    let keys = t.anonymous().get("/.well-known/jwks.json").await.expect(200).json();
    let kid = |key: &serde_json::Value| key["kid"].as_str().map(str::to_owned);
    keys["keys"].as_array().into_iter().flatten().filter_map(kid).collect()
}

fn kid(token: &str) -> String {
    head(token)["kid"].as_str().unwrap_or_default().to_owned()
}

async fn tend(t: &TestApp) {
    signing::tend(t.db(), &t.app().keys).await.unwrap();
}

on_each_backend! {
    async fn a_rotation_at_an_operators_word_keeps_old_tokens_valid(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let old = portal.signs_in(&t, &window, "openid org:read").await.at("/access_token");
        signing::rotate(t.db(), &t.app().keys).await.unwrap();
        let new = portal.signs_in(&t, &window, "openid org:read").await.at("/access_token");
        assert_ne!(kid(&old), kid(&new));
        let published = kids(&t).await;
        assert!(published.contains(&kid(&old)) && published.contains(&kid(&new)) && published.len() == 6);
        for token in [&old, &new] {
            t.anonymous().bearer(token).get("/v1/orgs").await.expect(200).ok();
            t.anonymous().bearer(token).get("/oauth/userinfo").await.expect(200).ok();
        }
        t.advance(Duration::from_hours(48));
        tend(&t).await;
        let published = kids(&t).await;
        assert!(!published.contains(&kid(&old)) && published.contains(&kid(&new)) && published.len() == 3);
    }

    async fn by_the_clock_a_key_is_published_a_day_before_it_signs(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let first = kids(&t).await;
        t.advance(Duration::from_hours(29 * 24));
        tend(&t).await;
        tend(&t).await;
        let both = kids(&t).await;
        assert_eq!((first.len(), both.len()), (3, 6), "made once");
        let active = async || {
            let all = signing::list(t.db()).await.unwrap();
            all.into_iter().filter(|key| key.state == State::Active).map(|key| key.kid).collect::<Vec<_>>()
        };
        assert!(active().await.iter().all(|kid| first.contains(kid)));
        t.advance(Duration::from_hours(24));
        tend(&t).await;
        assert!(active().await.iter().all(|kid| !first.contains(kid) && both.contains(kid)));
        assert_eq!(kids(&t).await.len(), 6, "the old ones stay while their tokens live");
    }

    async fn a_stolen_key_is_forgotten_with_all_that_it_signed(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let old = portal.signs_in(&t, &window, "openid org:read").await.at("/access_token");
        assert!(signing::forget(t.db(), &t.app().keys, &kid(&old)).await.unwrap());
        assert!(!signing::forget(t.db(), &t.app().keys, "x").await.unwrap());
        t.anonymous().bearer(&old).get("/v1/orgs").await.problem(401, "unauthenticated");
        assert!(!kids(&t).await.contains(&kid(&old)));
        let new = portal.signs_in(&t, &window, "openid org:read").await.at("/access_token");
        t.anonymous().bearer(&new).get("/v1/orgs").await.expect(200).ok();
    }

    async fn a_stored_key_opens_in_its_own_row_alone(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        kids(&t).await;
        t.sql("UPDATE signing_keys SET sealed_private = (SELECT s.sealed_private FROM signing_keys s WHERE s.alg = 'ES256') WHERE alg = 'RS256'").await;
        let code = portal.code(&window, &[]).await;
        assert_eq!(portal.trades(&t, &code).await.status(), 500);
    }
}
