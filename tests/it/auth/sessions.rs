//! How long sessions live, and how they are prolonged.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::mailbox::expect_letter;
use harness::people::PASSWORD;
use harness::{Answer, Authenticator, Person, TestApp, on_both, on_each_backend};
use serde_json::json;

use super::sign_in::{cookie_in, cookie_of};

const HOUR: Duration = Duration::from_hours(1);

async fn refresh(t: &TestApp, token: &str) -> Answer {
    t.anonymous()
        .post("/v1/auth/token/refresh", json!({ "refresh_token": token }))
        .await
}

/// The access and refresh tokens of an answer.
fn tokens(answer: &Answer) -> (String, String) {
    (answer.at("/access_token"), answer.at("/refresh_token"))
}

async fn stopped(backend: harness::Backend) -> (TestApp, Person) {
    let t = TestApp::start(Options::new(backend).stopped_clock()).await;
    let dana = t.person("dana").await;
    (t, dana)
}

async fn is_signed_in(t: &TestApp, access: &str) -> bool {
    t.anonymous().bearer(access).get("/v1/auth/me").await.status() == 200
}

on_both! {
    async fn signing_out_ends_the_access_token_and_its_refresh_token(t: TestApp) {
        let dana = t.person("dana").await;
        dana.post("/v1/auth/logout", json!({})).await.expect(204).ok();
        dana.get("/v1/auth/me").await.problem(401, "unauthenticated");
        refresh(&t, &dana.refresh_token).await.problem(401, "unauthenticated");
        let again = dana.signs_in_again().await;
        again.get("/v1/auth/me").await.expect(200).ok();
    }

    async fn a_refresh_token_is_traded_for_new_tokens(t: TestApp) {
        let dana = t.person("dana").await;
        dana.get("/v1/auth/me").await.ok();
        let traded = refresh(&t, &dana.refresh_token).await.expect(200);
        assert_eq!((traded.at("/user/id"), traded.at("/expires_in")), (dana.id.to_string(), "3600".into()));
        let (access, next) = tokens(&traded);
        assert_ne!(next, dana.refresh_token);
        assert!(is_signed_in(&t, &access).await);
        dana.get("/v1/auth/me").await.problem(401, "unauthenticated");
        let (access, _) = tokens(&refresh(&t, &next).await.expect(200));
        assert!(is_signed_in(&t, &access).await);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'session.refreshed'").await, 2);
    }

    async fn a_refresh_token_used_twice_ends_its_whole_family_and_no_other(t: TestApp) {
        let dana = t.person("dana").await;
        let elsewhere = dana.signs_in_again().await;
        let (access, next) = tokens(&refresh(&t, &dana.refresh_token).await.expect(200));
        let (newest, last) = tokens(&refresh(&t, &next).await.expect(200));
        assert!(!is_signed_in(&t, &access).await);
        refresh(&t, &dana.refresh_token).await.problem(401, "unauthenticated");
        assert!(!is_signed_in(&t, &newest).await, "whoever holds the family has lost it");
        refresh(&t, &last).await.problem(401, "unauthenticated");
        elsewhere.get("/v1/auth/me").await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'session.reuse_detected'").await, 1);
        let told = expect_letter(&t, &dana.email, "One of your sessions was ended", 1).await;
        assert!(told.contains("127.0.0.1"), "{told}");
    }

    // What is ended does not come back by a trade that was under way.
    async fn a_session_that_is_ended_while_it_is_prolonged_is_over(t: TestApp) {
        let dana = t.person("dana").await;
        for round in 0..16 {
            let other = dana.signs_in_again().await;
            let listed = dana.get("/v1/auth/sessions").await.expect(200);
            let path = format!("/v1/auth/sessions/{}", listed.at("/data/0/id"));
            let (traded, ended) = tokio::join!(refresh(&t, &other.refresh_token), dana.delete(&path));
            ended.expect(204).ok();
            if traded.status() == 200 {
                let (access, next) = tokens(&traded);
                assert!(!is_signed_in(&t, &access).await, "round {round}");
                refresh(&t, &next).await.problem(401, "unauthenticated");
            }
        }
    }

    async fn a_cookie_is_another_one_once_its_person_has_proved_who_they_are(t: TestApp) {
        let dana = t.person("dana").await;
        let mut cookie = cookie_of(&t, &dana.email).await;
        let prepared = Authenticator::prepare(&t.anonymous().cookie(&cookie), &t.clock).await;
        let change = json!({ "current_password": PASSWORD, "new_password": "another horse battery staple" });
        for (path, body) in [
            ("/v1/auth/sudo", json!({ "password": PASSWORD })),
            ("/v1/auth/password", change),
            ("/v1/auth/2fa/enable", json!({ "code": prepared.code() })),
        ] {
            let browser = t.anonymous().cookie(&cookie);
            let next = cookie_in(&browser.post(path, body).await.ok());
            assert!(next.starts_with("srm_ses_") && next != cookie, "{path}: {next}");
            browser.get("/v1/auth/me").await.problem(401, "unauthenticated");
            t.anonymous().cookie(&next).get("/v1/auth/me").await.expect(200).ok();
            cookie = next;
        }
        let browser = t.anonymous().cookie(&cookie);
        assert_eq!(browser.get("/v1/auth/sessions").await.at("/pagination/total"), "1", "it is one session all along");
    }

    async fn a_session_with_a_refresh_token_keeps_its_tokens_when_its_person_proves_who_they_are(t: TestApp) {
        let dana = t.person("dana").await;
        let confirmed = dana.post("/v1/auth/sudo", json!({ "password": PASSWORD })).await.expect(200);
        assert_eq!(confirmed.header("set-cookie"), None);
        dana.get("/v1/auth/me").await.expect(200).ok();
    }

    async fn what_is_no_refresh_token_is_refused(t: TestApp) {
        let dana = t.person("dana").await;
        let access = dana.signs_in_again().await;
        let harness::client::Credential::Bearer(access) = &access.client().credential else {
            panic!("a bearer session");
        };
        for token in ["", "srm_ref_nonsense", access] {
            refresh(&t, token).await.problem(401, "unauthenticated");
        }
    }
}

on_each_backend! {
    async fn a_client_whose_answer_was_lost_is_given_the_very_same_within_thirty_seconds(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let lost = refresh(&t, &dana.refresh_token).await.expect(200);
        t.advance(Duration::from_secs(30));
        let again = refresh(&t, &dana.refresh_token).await.expect(200);
        assert_eq!(tokens(&again), tokens(&lost), "no second line begins");
        assert_eq!((lost.at("/expires_in"), again.at("/expires_in")), ("3600".into(), "3570".into()));
        let live = "SELECT COUNT(*) FROM credentials WHERE kind IN ('session', 'refresh') AND revoked_at IS NULL
            AND replaced_by IS NULL";
        assert_eq!(t.number(live).await, 2);
        let (access, next) = tokens(&again);
        assert!(is_signed_in(&t, &access).await);
        let _ = refresh(&t, &next).await.expect(200);
    }

    // Whoever of the two trades what both were given first, the other's trade is noticed.
    async fn a_thief_who_was_quick_enough_to_be_given_the_same_is_found_out_at_the_next_trade(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let (_, owners) = tokens(&refresh(&t, &dana.refresh_token).await.expect(200));
        let (_, thiefs) = tokens(&refresh(&t, &dana.refresh_token).await.expect(200));
        t.advance(HOUR);
        let (stolen, further) = tokens(&refresh(&t, &thiefs).await.expect(200));
        t.advance(Duration::from_secs(31));
        refresh(&t, &owners).await.problem(401, "unauthenticated");
        assert!(!is_signed_in(&t, &stolen).await, "whoever holds the family has lost it");
        refresh(&t, &further).await.problem(401, "unauthenticated");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'session.reuse_detected'").await, 1);
    }

    async fn a_second_trade_is_a_theft_once_the_token_that_followed_was_traded(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let (_, next) = tokens(&refresh(&t, &dana.refresh_token).await.expect(200));
        let (access, last) = tokens(&refresh(&t, &next).await.expect(200));
        refresh(&t, &dana.refresh_token).await.problem(401, "unauthenticated");
        assert!(!is_signed_in(&t, &access).await);
        refresh(&t, &last).await.problem(401, "unauthenticated");
    }

    async fn after_thirty_seconds_a_second_trade_is_a_theft(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let (access, next) = tokens(&refresh(&t, &dana.refresh_token).await.expect(200));
        t.advance(Duration::from_secs(31));
        refresh(&t, &dana.refresh_token).await.problem(401, "unauthenticated");
        assert!(!is_signed_in(&t, &access).await);
        refresh(&t, &next).await.problem(401, "unauthenticated");
    }

    async fn a_second_trade_is_a_theft_once_the_first_answer_was_used(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let (access, _) = tokens(&refresh(&t, &dana.refresh_token).await.expect(200));
        assert!(is_signed_in(&t, &access).await);
        eventually("the use is noted", || async {
            t.number("SELECT COUNT(*) FROM credentials WHERE last_used_at IS NOT NULL AND kind = 'session'").await == 1
        })
        .await;
        refresh(&t, &dana.refresh_token).await.problem(401, "unauthenticated");
        assert!(!is_signed_in(&t, &access).await);
    }

    async fn an_access_token_ends_after_an_hour_and_its_refresh_token_goes_on(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        t.advance(Duration::from_secs(3600 - 1));
        dana.get("/v1/auth/me").await.expect(200).ok();
        t.advance(Duration::from_secs(1));
        dana.get("/v1/auth/me").await.problem(401, "unauthenticated");
        let (access, next) = tokens(&refresh(&t, &dana.refresh_token).await.expect(200));
        assert!(is_signed_in(&t, &access).await);
        t.advance(90 * 24 * HOUR);
        refresh(&t, &next).await.problem(401, "unauthenticated");
    }

    async fn a_session_ends_after_ninety_days_however_often_it_is_prolonged(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let mut token = dana.refresh_token.clone();
        for _ in 0..2 {
            t.advance(40 * 24 * HOUR);
            (_, token) = tokens(&refresh(&t, &token).await.expect(200));
        }
        t.advance(Duration::from_mins(10 * 24 * 60 - 1));
        let last = refresh(&t, &token).await.expect(200);
        assert_eq!(last.at("/expires_in"), "60", "the access token ends with it");
        let (access, next) = tokens(&last);
        t.advance(Duration::from_secs(59));
        assert!(is_signed_in(&t, &access).await);
        t.advance(Duration::from_secs(1));
        assert!(!is_signed_in(&t, &access).await);
        refresh(&t, &next).await.problem(401, "unauthenticated");
    }

    async fn a_cookie_that_rests_for_a_day_ends(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let browser = t.anonymous().cookie(&cookie_of(&t, &dana.email).await);
        t.advance(23 * HOUR);
        browser.get("/v1/auth/me").await.expect(200).ok();
        eventually("the use is noted", || async {
            t.number("SELECT COUNT(*) FROM credentials WHERE last_used_at IS NOT NULL").await == 1
        })
        .await;
        t.advance(23 * HOUR);
        browser.get("/v1/auth/me").await.expect(200).ok();
        let resting = t.anonymous().cookie(&cookie_of(&t, &dana.email).await);
        t.advance(24 * HOUR);
        resting.get("/v1/auth/me").await.problem(401, "unauthenticated");
    }

    async fn a_cookie_ends_after_thirty_days_however_busy(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let browser = t.anonymous().cookie(&cookie_of(&t, &dana.email).await);
        t.sql("UPDATE credentials SET idle_expires_at = 9000000000000000 WHERE idle_expires_at IS NOT NULL").await;
        t.advance(30 * 24 * HOUR);
        browser.get("/v1/auth/me").await.problem(401, "unauthenticated");
    }
}
