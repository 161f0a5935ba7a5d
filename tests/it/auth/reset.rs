//! Resetting a forgotten password.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::mailbox::{RESET, expect_letter, expect_token, letters};
use harness::people::PASSWORD;
use harness::{Answer, Authenticator, TestApp, on_both, on_each_backend};
use serde_json::json;

use super::codes::verified;

const NEW: &str = "another horse, another battery";

async fn forgot(t: &TestApp, email: &str) -> Answer {
    t.anonymous()
        .post("/v1/auth/password/forgot", json!({ "email": email }))
        .await
}

async fn reset(t: &TestApp, token: &str, password: &str) -> Answer {
    let body = json!({ "token": token, "password": password });
    t.anonymous().post("/v1/auth/password/reset", body).await
}

async fn login(t: &TestApp, email: &str, password: &str) -> Answer {
    t.anonymous()
        .post("/v1/auth/login", json!({ "email": email, "password": password }))
        .await
}

on_both! {
    async fn the_mailed_link_sets_a_new_password_and_ends_every_session(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let elsewhere = dana.signs_in_again().await;
        let kept = dana.token(json!({ "name": "ci" })).await;
        forgot(&t, "DANA@example.com").await.expect(200).ok();
        let token = expect_token(&t, &dana.email, RESET, 1).await;
        reset(&t, &token, NEW).await.expect(204).ok();
        for session in [&dana, &elsewhere] {
            session.get("/v1/auth/me").await.problem(401, "unauthenticated");
            let refresh = json!({ "refresh_token": session.refresh_token });
            t.anonymous().post("/v1/auth/token/refresh", refresh).await.problem(401, "unauthenticated");
        }
        kept.get("/v1/auth/me").await.expect(200).ok();
        login(&t, &dana.email, PASSWORD).await.problem(401, "invalid_credentials");
        login(&t, &dana.email, NEW).await.expect(200).ok();
        reset(&t, &token, PASSWORD).await.problem(422, "invalid_field");
        expect_letter(&t, &dana.email, "Your password was changed", 1).await;
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'user.password_reset_requested'").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'user.password_reset'").await, 1);
    }

    async fn known_and_unknown_addresses_are_answered_alike(t: TestApp) {
        let dana = t.person("dana").await;
        let known = forgot(&t, &dana.email).await.expect(200).text();
        let unknown = forgot(&t, "nobody@example.com").await.expect(200).text();
        assert_eq!(known, unknown);
        expect_token(&t, &dana.email, RESET, 1).await;
        eventually("no mail is under way", || async {
            t.number("SELECT COUNT(*) FROM jobs WHERE state = 0").await == 0
        })
        .await;
        assert!(letters(&t, "nobody@example.com", RESET).is_empty());
    }

    async fn a_weak_password_is_named_and_does_not_use_the_link_up(t: TestApp) {
        let dana = t.person("dana").await;
        forgot(&t, &dana.email).await.ok();
        let token = expect_token(&t, &dana.email, RESET, 1).await;
        let refused = reset(&t, &token, "dana@example.com").await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "password");
        dana.get("/v1/auth/me").await.expect(200).ok();
        reset(&t, &token, NEW).await.expect(204).ok();
    }

    async fn no_other_token_resets(t: TestApp) {
        let dana = t.person("dana").await;
        let verification = harness::mailbox::expect_link(&t, &dana.email, 1).await;
        for token in ["", "srm_lnk_nonsense", &dana.refresh_token, &verification] {
            let refused = reset(&t, token, NEW).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "token");
        }
        login(&t, &dana.email, PASSWORD).await.expect(200).ok();
    }

    async fn of_two_who_use_one_link_at_once_one_resets(t: TestApp) {
        let dana = t.person("dana").await;
        forgot(&t, &dana.email).await.ok();
        let token = expect_token(&t, &dana.email, RESET, 1).await;
        let answers = futures_util::future::join_all((0..6).map(|_| reset(&t, &token, NEW))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status() == 204).count(), 1);
    }

    async fn a_new_password_does_not_stand_in_for_the_second_factor(t: TestApp) {
        let dana = verified(&t, "dana").await;
        Authenticator::enable(dana.client(), &t.clock).await;
        forgot(&t, &dana.email).await.ok();
        let token = expect_token(&t, &dana.email, RESET, 1).await;
        reset(&t, &token, NEW).await.expect(204).ok();
        let waiting = login(&t, &dana.email, NEW).await.expect(200);
        assert_eq!((waiting.at("/mfa_required"), waiting.header("set-cookie")), ("true".into(), None));
    }

    async fn resetting_proves_the_address_and_ends_what_was_there_before_the_proof(t: TestApp) {
        let squatter = t.person("dana").await;
        let backdoor = squatter.token(json!({ "name": "backdoor" })).await;
        forgot(&t, &squatter.email).await.ok();
        let token = expect_token(&t, &squatter.email, RESET, 1).await;
        reset(&t, &token, NEW).await.expect(204).ok();
        backdoor.get("/v1/auth/me").await.problem(401, "unauthenticated");
        let owner = login(&t, &squatter.email, NEW).await.expect(200);
        assert_eq!(owner.at("/user/email_verified"), "true");
    }
}

on_each_backend! {
    async fn a_link_ends_after_an_hour(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        forgot(&t, &dana.email).await.ok();
        let token = expect_token(&t, &dana.email, RESET, 1).await;
        t.advance(Duration::from_hours(1));
        reset(&t, &token, NEW).await.problem(422, "invalid_field");
        dana.signs_in_again().await.get("/v1/auth/me").await.expect(200).ok();
    }
}
