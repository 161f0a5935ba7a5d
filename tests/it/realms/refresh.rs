//! Renewing the tokens of a user: one trade for each refresh token.

use std::time::Duration;

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{allowed, asks, realm, refused, renews, says, signs_in, user};
use crate::oauth::claims;

const LIVE: &str =
    "SELECT COUNT(*) FROM credentials WHERE kind IN ('realm_access', 'realm_refresh') AND revoked_at IS NULL";

on_both! {
    async fn a_refresh_token_is_traded_for_tokens_of_the_same_sign_in(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let id = user(&acme, "jane@acme.co", "editor").await;
        let first = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200);
        let roles = acme.path(&format!("/users/{id}/roles"));
        acme.owner.delete(&format!("{roles}/editor")).await.expect(204).ok();
        let next = renews(&t, &acme, &first.at("/refresh_token")).await.expect(200);
        let (before, after) = (claims(&first.at("/access_token")), claims(&next.at("/access_token")));
        assert_eq!((&before["sid"], &before["sub"]), (&after["sid"], &after["sub"]));
        assert_ne!(before["jti"], after["jti"]);
        assert_eq!((&before["roles"], &after["roles"]), (&json!(["editor"]), &json!([])), "as they are now");
        assert_ne!(first.at("/refresh_token"), next.at("/refresh_token"));
        renews(&t, &acme, &next.at("/refresh_token")).await.expect(200).ok();
    }

    async fn one_that_comes_twice_ends_the_sign_in(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let other = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200);
        let first = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/refresh_token");
        let second = renews(&t, &acme, &first).await.expect(200);
        let third = renews(&t, &acme, &second.at("/refresh_token")).await.expect(200);
        renews(&t, &acme, &first).await.problem(401, "unauthenticated");
        renews(&t, &acme, &third.at("/refresh_token")).await.problem(401, "unauthenticated");
        for token in [&second, &third] {
            let asked = asks(acme.owner.client(), &token.at("/access_token"), "comments:read").await;
            assert_eq!(says(&asked), refused("invalid_token"));
        }
        let log = acme.owner.get(&acme.path("/audit-logs?action=realm.reuse_detected")).await.expect(200);
        assert_eq!(log.at("/pagination/total"), "1");
        renews(&t, &acme, &other.at("/refresh_token")).await.expect(200).ok();
    }

    async fn a_lost_answer_may_be_asked_for_again(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let first = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/refresh_token");
        let lost = renews(&t, &acme, &first).await.expect(200);
        let again = renews(&t, &acme, &first).await.expect(200);
        assert_eq!(again.at("/refresh_token"), lost.at("/refresh_token"), "no second line begins");
        for tokens in [&lost, &again] {
            let asked = asks(acme.owner.client(), &tokens.at("/access_token"), "comments:read").await;
            assert_eq!(says(&asked), allowed("role"));
        }
        let next = renews(&t, &acme, &again.at("/refresh_token")).await.expect(200);
        renews(&t, &acme, &first).await.problem(401, "unauthenticated");
        renews(&t, &acme, &next.at("/refresh_token")).await.problem(401, "unauthenticated");
    }

    async fn of_many_that_trade_one_token_at_once_one_sign_in_is_left_or_none(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let first = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/refresh_token");
        let all = futures_util::future::join_all((0..8).map(|_| renews(&t, &acme, &first))).await;
        let statuses: Vec<_> = all.iter().map(harness::Answer::status).collect();
        assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
        let unused = "SELECT COUNT(*) FROM credentials WHERE kind = 'realm_refresh' AND revoked_at IS NULL
            AND replaced_by IS NULL";
        assert!(t.number(unused).await <= 1);
    }

    async fn a_refresh_token_is_of_one_realm_and_of_no_other_kind(t: TestApp) {
        let (acme, globex) = (realm(&t, "acme").await, realm(&t, "globex").await);
        user(&acme, "jane@acme.co", "editor").await;
        let tokens = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200);
        renews(&t, &globex, &tokens.at("/refresh_token")).await.problem(401, "unauthenticated");
        for other in [tokens.at("/access_token"), acme.owner.refresh_token.clone(), "srm_rrt_x".into(), String::new()] {
            renews(&t, &acme, &other).await.problem(401, "unauthenticated");
        }
        let platform = json!({ "refresh_token": tokens.at("/refresh_token") });
        t.anonymous().post("/v1/auth/token/refresh", platform).await.problem(401, "unauthenticated");
        renews(&t, &acme, &tokens.at("/refresh_token")).await.expect(200).ok();
    }

    async fn a_token_is_given_up_with_its_sign_in_or_alone(t: TestApp) {
        let (acme, globex) = (realm(&t, "acme").await, realm(&t, "globex").await);
        user(&acme, "jane@acme.co", "editor").await;
        let tokens = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200);
        let (access, refresh) = (tokens.at("/access_token"), tokens.at("/refresh_token"));
        let revoke = async |org: &harness::people::Org<'_>, token: &str| {
            let body = json!({ "token": token });
            t.anonymous().post(&org.path("/tokens/revoke"), body).await.expect(204).ok();
        };
        revoke(&globex, &refresh).await;
        revoke(&acme, "nonsense").await;
        assert_eq!(t.number(LIVE).await, 2);
        revoke(&acme, &access).await;
        assert_eq!(says(&asks(acme.owner.client(), &access, "comments:read").await), refused("invalid_token"));
        let next = renews(&t, &acme, &refresh).await.expect(200);
        revoke(&acme, &next.at("/refresh_token")).await;
        renews(&t, &acme, &next.at("/refresh_token")).await.problem(401, "unauthenticated");
        assert_eq!(t.number(LIVE).await, 0);
        revoke(&acme, &refresh).await;
        let log = acme.owner.get(&acme.path("/audit-logs?action=realm.tokens_revoked")).await.expect(200);
        assert_eq!(log.at("/pagination/total"), "2", "what had ended is no event");
    }
}

on_each_backend! {
    // Whoever of the two trades what both were given first, the other's trade is noticed.
    async fn a_thief_who_was_given_the_same_is_found_out_at_the_next_trade(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let first = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/refresh_token");
        let janes = renews(&t, &acme, &first).await.expect(200).at("/refresh_token");
        t.advance(Duration::from_secs(30));
        let thiefs = renews(&t, &acme, &first).await.expect(200).at("/refresh_token");
        t.advance(Duration::from_secs(31));
        let stolen = renews(&t, &acme, &janes).await.expect(200);
        t.advance(Duration::from_secs(31));
        renews(&t, &acme, &thiefs).await.problem(401, "unauthenticated");
        renews(&t, &acme, &stolen.at("/refresh_token")).await.problem(401, "unauthenticated");
        assert_eq!(t.number(LIVE).await, 0);
    }

    async fn tokens_end_in_time_and_a_sign_in_after_ninety_days(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let first = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200);
        let mut refresh = first.at("/refresh_token");
        t.advance(Duration::from_mins(59));
        let login = json!({ "email": acme.owner.email, "password": PASSWORD, "transport": "bearer" });
        let owner = async || {
            let session = t.anonymous().post("/v1/auth/login", login.clone()).await.expect(200);
            t.anonymous().bearer(&session.at("/access_token"))
        };
        assert_eq!(asks(&owner().await, &first.at("/access_token"), "comments:read").await.at("/allowed"), "true");
        t.advance(Duration::from_mins(1));
        let asked = asks(&owner().await, &first.at("/access_token"), "comments:read").await;
        assert_eq!(says(&asked), refused("invalid_token"));
        for _ in 0..2 {
            t.advance(Duration::from_hours(44 * 24));
            refresh = renews(&t, &acme, &refresh).await.expect(200).at("/refresh_token");
        }
        t.advance(Duration::from_hours(2 * 24));
        renews(&t, &acme, &refresh).await.problem(401, "unauthenticated");
    }
}
