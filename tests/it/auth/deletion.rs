//! Deleting one's own account.

use std::time::Duration;

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

const ME: &str = "/v1/auth/me";

on_both! {
    async fn an_account_goes_with_all_that_is_its_own(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let token = dana.token(json!({ "name": "ci" })).await;
        dana.post("/v1/orgs", json!({ "name": "Alone", "slug": "alone" })).await.expect(201).ok();
        dana.post("/v1/auth/emails", json!({ "email": "dana@example.org" })).await.expect(201).ok();
        dana.delete(ME).await.expect(204).ok();
        for credential in [dana.client(), &token] {
            credential.get(ME).await.problem(401, "unauthenticated");
        }
        let refresh = json!({ "refresh_token": dana.refresh_token });
        t.anonymous().post("/v1/auth/token/refresh", refresh).await.problem(401, "unauthenticated");
        let login = json!({ "email": dana.email, "password": PASSWORD });
        t.anonymous().post("/v1/auth/login", login).await.problem(401, "invalid_credentials");
        let id = "(SELECT actor_id FROM journal WHERE action = 'user.deleted')";
        for table in ["users WHERE id", "user_emails WHERE user_id", "mails WHERE user_id", "challenges WHERE user_id", "memberships WHERE subject_id"] {
            assert_eq!(t.number(&format!("SELECT COUNT(*) FROM {table} = {id}")).await, 0, "{table}");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM orgs WHERE deleted_at IS NOT NULL").await, 2);
        assert!(t.number(&format!("SELECT COUNT(*) FROM journal WHERE actor_id = {id}")).await > 3, "the journal stays");
        acme.owner.get("/v1/orgs/acme").await.expect(200).ok();
        let again = t.person("dana").await;
        assert_ne!(again.id, dana.id);
        again.get("/v1/orgs/acme").await.problem(404, "not_found");
    }

    async fn the_last_owner_of_what_others_are_in_stays(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let refused = acme.owner.delete(ME).await.problem(409, "last_owner");
        assert_eq!(refused.json()["organisations"], json!(["acme"]));
        acme.owner.get(ME).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM orgs WHERE deleted_at IS NOT NULL").await, 0);
        acme.grant(dana.id, None, "owner").await;
        acme.owner.delete(ME).await.expect(204).ok();
        assert_eq!(dana.get("/v1/orgs/acme").await.expect(200).at("/role"), "owner");
    }

    async fn of_two_owners_who_go_at_once_one_stays(t: TestApp) {
        for round in 0..5 {
            let org = t.org(&format!("acme{round}")).await;
            let other = org.member(&format!("other{round}"), "owner").await;
            org.developer(&format!("dana{round}")).await;
            let (one, two) = tokio::join!(org.owner.delete(ME), other.delete(ME));
            let mut statuses = [one.status(), two.status()];
            statuses.sort_unstable();
            assert_eq!(statuses, [204, 409], "{} {}", one.text(), two.text());
        }
    }

    async fn the_only_administrator_stays(t: TestApp) {
        let dana = t.person("dana").await;
        t.sql("UPDATE users SET is_superuser = TRUE").await;
        dana.delete(ME).await.problem(409, "conflict");
        t.person("erin").await;
        t.sql("UPDATE users SET is_superuser = TRUE").await;
        dana.delete(ME).await.expect(204).ok();
    }

    async fn a_token_deletes_nobody(t: TestApp) {
        let dana = t.person("dana").await;
        dana.token(json!({ "name": "ci" })).await.delete(ME).await.problem(403, "session_required");
        dana.get(ME).await.expect(200).ok();
    }
}

on_each_backend! {
    async fn deleting_takes_a_recent_sign_in(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        t.advance(Duration::from_secs(601));
        dana.delete(ME).await.problem(428, "step_up_required");
        dana.signs_in_again().await.delete(ME).await.expect(204).ok();
    }
}
