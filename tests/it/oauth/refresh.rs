//! Refresh tokens: one trade each, no more than was agreed to, and an end.

use std::time::Duration;

use harness::app::{Options, eventually};
use harness::mailbox::expect_letter;
use harness::{Answer, TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{browser, claims, error, partner};

fn next(answer: &Answer) -> String {
    answer.at("/refresh_token")
}

on_both! {
    async fn a_refresh_token_used_twice_kills_its_family_and_no_other(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let other = portal.signs_in(&t, &window, "openid offline_access").await;
        let first = portal.signs_in(&t, &window, "openid offline_access org:read").await;
        let second = portal.renews(&t, &next(&first)).await.expect(200);
        let third = portal.renews(&t, &next(&second)).await.expect(200);
        assert_eq!(third.at("/scope"), first.at("/scope"));
        error(&portal.renews(&t, &next(&first)).await, 400, "invalid_grant");
        error(&portal.renews(&t, &next(&third)).await, 400, "invalid_grant");
        for tokens in [&first, &second, &third] {
            t.anonymous().bearer(&tokens.at("/access_token")).get("/v1/orgs").await.problem(401, "unauthenticated");
        }
        expect_letter(&t, "dana@example.com", "One of your sessions was ended", 1).await;
        portal.renews(&t, &next(&other)).await.expect(200).ok();
    }

    async fn a_lost_answer_is_given_again_while_its_successor_was_not_used(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let first = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access org:read").await;
        let lost = portal.renews(&t, &next(&first)).await.expect(200);
        let again = portal.renews(&t, &next(&first)).await.expect(200);
        assert_eq!(next(&lost), next(&again), "no second line begins");
        for tokens in [&lost, &again] {
            let access = t.anonymous().bearer(&tokens.at("/access_token"));
            access.get("/oauth/userinfo").await.expect(200).ok();
        }
        assert!(claims(&again.at("/id_token")).get("nonce").is_none(), "it was of the sign-in");
        portal.renews(&t, &next(&again)).await.expect(200).ok();
        error(&portal.renews(&t, &next(&first)).await, 400, "invalid_grant");
        error(&portal.renews(&t, &next(&again)).await, 400, "invalid_grant");
    }

    async fn an_answer_whose_access_token_was_used_was_not_lost(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let first = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access org:read").await;
        let second = portal.renews(&t, &next(&first)).await.expect(200);
        let access = t.anonymous().bearer(&second.at("/access_token"));
        access.get("/v1/orgs").await.expect(200).ok();
        eventually("the use is noted", || async {
            t.number("SELECT COUNT(*) FROM credentials WHERE kind = 'oauth_access' AND last_used_at IS NOT NULL").await == 1
        })
        .await;
        error(&portal.renews(&t, &next(&first)).await, 400, "invalid_grant");
        access.get("/v1/orgs").await.problem(401, "unauthenticated");
        error(&portal.renews(&t, &next(&second)).await, 400, "invalid_grant");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'oauth.reuse_detected'").await, 1);
    }

    async fn a_theft_is_noticed_whatever_is_asked_for(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let first = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access").await;
        let second = portal.renews(&t, &next(&first)).await.expect(200);
        let third = portal.renews(&t, &next(&second)).await.expect(200);
        let old = next(&first);
        let more = [("grant_type", "refresh_token"), ("refresh_token", old.as_str()), ("scope", "secrets:write")];
        error(&portal.token(&t, &more).await, 400, "invalid_grant");
        error(&portal.renews(&t, &next(&third)).await, 400, "invalid_grant");
    }

    async fn of_two_that_trade_one_token_at_once_one_line_goes_on(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let first = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access").await;
        let token = next(&first);
        let (one, two) = tokio::join!(portal.renews(&t, &token), portal.renews(&t, &token));
        let live = "SELECT COUNT(*) FROM credentials WHERE kind = 'oauth_refresh' AND revoked_at IS NULL AND replaced_by IS NULL";
        assert_eq!((one.status(), two.status(), t.number(live).await), (200, 200, 1));
    }

    async fn a_client_can_ask_for_less_and_never_for_more(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let first = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access secrets:read").await;
        let ask = async |token: &str, scope: &str| {
            portal.token(&t, &[("grant_type", "refresh_token"), ("refresh_token", token), ("scope", scope)]).await
        };
        for more in ["openid email", "secrets:write", "org:read"] {
            error(&ask(&next(&first), more).await, 400, "invalid_scope");
        }
        let less = ask(&next(&first), "secrets:read@dev").await.expect(200);
        assert_eq!(claims(&less.at("/access_token"))["scope"], "secrets:read@dev");
        assert!(less.json().get("id_token").is_none());
        let all = portal.renews(&t, &next(&less)).await.expect(200);
        assert_eq!(all.at("/scope"), "openid offline_access secrets:read", "what was agreed to stays");
    }

    async fn a_refresh_token_is_its_clients_own(t: TestApp) {
        let dana = t.person("dana").await;
        let (portal, other) = (partner(&dana, json!({})).await, partner(&dana, json!({})).await);
        let first = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access").await;
        error(&other.renews(&t, &next(&first)).await, 400, "invalid_grant");
        for wrong in ["x", &dana.refresh_token, &first.at("/access_token")] {
            error(&portal.renews(&t, wrong).await, 400, "invalid_grant");
        }
        t.anonymous().bearer(&next(&first)).get("/v1/orgs").await.problem(401, "unauthenticated");
        let session = json!({ "refresh_token": next(&first) });
        t.anonymous().post("/v1/auth/token/refresh", session).await.problem(401, "unauthenticated");
        portal.renews(&t, &next(&first)).await.expect(200).ok();
    }

    async fn a_disabled_account_renews_nothing(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let first = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access org:read").await;
        t.sql("UPDATE users SET disabled_at = 1").await;
        error(&portal.renews(&t, &next(&first)).await, 400, "invalid_grant");
        let access = t.anonymous().bearer(&first.at("/access_token"));
        access.get("/v1/orgs").await.problem(401, "unauthenticated");
        assert_eq!(access.get("/oauth/userinfo").await.status(), 401);
    }
}

on_each_backend! {
    async fn an_answer_is_lost_for_half_a_minute_and_consent_ends_after_ninety_days(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let window = browser(&t, &dana).await;
        let first = portal.signs_in(&t, &window, "openid offline_access").await;
        let lost = portal.renews(&t, &next(&first)).await.expect(200);
        t.advance(Duration::from_secs(30));
        assert_eq!(next(&portal.renews(&t, &next(&first)).await.expect(200)), next(&lost));
        t.advance(Duration::from_secs(1));
        error(&portal.renews(&t, &next(&first)).await, 400, "invalid_grant");
        error(&portal.renews(&t, &next(&lost)).await, 400, "invalid_grant");
        let mut tokens = portal.signs_in(&t, &window, "openid offline_access").await;
        for _ in 0..89 {
            t.advance(Duration::from_hours(24));
            tokens = portal.renews(&t, &next(&tokens)).await.expect(200);
        }
        t.advance(Duration::from_hours(24) - Duration::from_mins(5));
        let last = portal.renews(&t, &next(&tokens)).await.expect(200);
        assert_eq!(last.at("/expires_in"), "300", "the access token ends with it");
        t.advance(Duration::from_mins(5));
        error(&portal.renews(&t, &next(&last)).await, 400, "invalid_grant");
    }
}
