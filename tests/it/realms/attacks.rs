//! Tokens that are none of the realm's, or not for this: at `/v1/authorize` each is no token at all, and none opens
//! anything on the platform.

use domain::signing::{Alg, Typ};
use harness::people::PASSWORD;
use harness::{Backend, TestApp, on_both};
use serde_json::{Value, json};

use super::{allowed, asks, realm, refused, says, signs_in, user};
use crate::oauth::attacks::{Good, sign, with};
use crate::oauth::{browser, partner};

/// Claims with several things changed.
fn changed(claims: &Value, changes: &[(&str, Value)]) -> Value {
    changes
        .iter()
        .fold(claims.clone(), |claims, (name, value)| with(&claims, name, value))
}

on_both! {
    async fn sixty_tokens_that_are_not_what_they_seem_are_none(t: TestApp) {
        let (acme, globex) = (realm(&t, "acme").await, realm(&t, "globex").await);
        user(&acme, "jane@acme.co", "editor").await;
        user(&globex, "jane@acme.co", "editor").await;
        let tokens = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200);
        let good = Good::of(&t, &tokens.at("/access_token"));
        let mut corpus = good.corpus().await;
        let elsewhere = TestApp::spawn(Backend::Sqlite).await;
        let (ours, theirs) = (acme.id.to_string(), globex.id.to_string());
        let issuer = |org: &str| json!(format!("{}/v1/orgs/{org}", t.url));
        for (what, changes) in [
            ("another realm's issuer", vec![("iss", issuer(&theirs))]),
            ("another realm's audience", vec![("aud", json!(theirs))]),
            ("all of another realm", vec![("iss", issuer(&theirs)), ("aud", json!(theirs))]),
            ("the platform's issuer", vec![("iss", json!(t.url))]),
            ("the platform's audience", vec![("aud", json!(t.url))]),
            ("all of the platform", vec![("iss", json!(t.url)), ("aud", json!(t.url))]),
            ("an audience among others", vec![("aud", json!([ours, theirs]))]),
            ("the slug for an audience", vec![("aud", json!("acme"))]),
        ] {
            corpus.push((what.to_owned(), sign(&t, &changed(&good.claims, &changes), Typ::AccessToken, Alg::Rs256).await));
        }
        corpus.push(("another instance's key".into(), sign(&elsewhere, &good.claims, Typ::AccessToken, Alg::Rs256).await));
        corpus.push(("all of it, as an ID token".into(), sign(&t, &good.claims, Typ::IdToken, Alg::Rs256).await));
        corpus.push(("a refresh token".into(), tokens.at("/refresh_token")));
        let portal = partner(&acme.owner, json!({})).await;
        let partners = portal.signs_in(&t, &browser(&t, &acme.owner).await, "openid offline_access org:read").await;
        corpus.push(("a partner's ID token".into(), partners.at("/id_token")));
        corpus.push(("a partner's refresh token".into(), partners.at("/refresh_token")));
        corpus.push(("a session's refresh token".into(), acme.owner.refresh_token.clone()));
        assert!(corpus.len() >= 60, "{}", corpus.len());
        for (what, token) in &corpus {
            let answer = asks(acme.owner.client(), token, "comments:write").await;
            assert_eq!((says(&answer), answer.at("/subject")), (refused("invalid_token"), String::new()), "{what}");
            let shown = t.anonymous().bearer(token);
            assert_eq!(shown.get("/v1/orgs").await.status(), 401, "{what}");
            assert_eq!(shown.get("/oauth/userinfo").await.status(), 401, "{what}");
        }
        assert_eq!(says(&asks(acme.owner.client(), &good.token, "comments:write").await), allowed("role"));
        elsewhere.stop().await;
    }

    async fn what_a_token_says_of_its_holder_is_not_believed(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let jane = user(&acme, "jane@acme.co", "reader").await;
        let boss = user(&acme, "boss@acme.co", "editor").await;
        let token = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/access_token");
        let good = Good::of(&t, &token);
        for changes in [
            vec![("sub", json!(boss))],
            vec![("roles", json!(["editor"])), ("permissions", json!(["comments:write"]))],
        ] {
            let lie = sign(&t, &changed(&good.claims, &changes), Typ::AccessToken, Alg::Rs256).await;
            let answer = asks(acme.owner.client(), &lie, "comments:write").await;
            assert_eq!((says(&answer), answer.at("/subject/id")), (refused("no_grant"), jane.clone()));
        }
        for alg in Alg::ALL {
            let again = sign(&t, &good.claims, Typ::AccessToken, alg).await;
            assert_eq!(says(&asks(acme.owner.client(), &again, "comments:read").await), allowed("role"));
        }
    }

    async fn a_key_that_is_forgotten_takes_its_tokens_along(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let token = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/access_token");
        let kid = crate::oauth::head(&token)["kid"].as_str().unwrap_or_default().to_owned();
        let app = t.app();
        domain::signing::rotate(&app.db, &app.keys).await.expect("other keys");
        assert_eq!(says(&asks(acme.owner.client(), &token, "comments:read").await), allowed("role"), "it is kept");
        domain::signing::forget(&app.db, &app.keys, &kid).await.expect("forgotten");
        assert_eq!(says(&asks(acme.owner.client(), &token, "comments:read").await), refused("invalid_token"));
    }
}
