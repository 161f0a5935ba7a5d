//! Deleting an organisation, and bringing it back.

use std::time::Duration;

use harness::app::Options;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

const DAY: Duration = Duration::from_hours(24);

on_both! {
    async fn a_deleted_organisation_hides_everything_in_it_until_it_is_restored(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let web = acme.project("web").await;
        let env = web.env("development");
        dana.put(&env.secret("A"), json!({ "value": "kept" })).await.ok();
        acme.owner.delete("/v1/orgs/acme").await.expect(204).ok();
        for path in [
            acme.path(""), acme.path("/projects"), acme.path("/audit-logs"), acme.path("/webhooks"),
            web.path.clone(), env.0.clone(), env.secrets(), env.secret("A"), format!("/v1/orgs/{}", acme.id),
        ] {
            acme.owner.get(&path).await.problem(404, "not_found");
            dana.get(&path).await.problem(404, "not_found");
        }
        dana.put(&env.secret("A"), json!({ "value": "lost" })).await.problem(404, "not_found");
        assert_eq!(acme.owner.get("/v1/orgs").await.at("/pagination/total"), "1");
        let me = dana.get("/v1/auth/me").await.expect(200);
        assert_eq!(me.json()["orgs"].as_array().map(Vec::len), Some(1));
        acme.owner.delete("/v1/orgs/acme").await.problem(404, "not_found");

        dana.post("/v1/orgs/acme/restore", json!({})).await.problem(403, "forbidden");
        t.person("eve").await.post("/v1/orgs/acme/restore", json!({})).await.problem(404, "not_found");
        let restored = acme.owner.post("/v1/orgs/acme/restore", json!({})).await.expect(200);
        assert_eq!((restored.at("/id"), restored.at("/role")), (acme.id.to_string(), "owner".into()));
        assert_eq!(dana.get(&env.secret("A")).await.expect(200).at("/value"), "kept");
        acme.owner.post("/v1/orgs/acme/restore", json!({})).await.problem(404, "not_found");
    }

    async fn only_an_owner_deletes_an_organisation(t: TestApp) {
        let acme = t.org("acme").await;
        for role in ["admin", "developer", "viewer", "member"] {
            let person = acme.member(role, role).await;
            person.delete("/v1/orgs/acme").await.problem(403, "forbidden");
        }
        let token = acme.owner.token(json!({ "name": "ci" })).await;
        token.delete("/v1/orgs/acme").await.problem(403, "session_required");
        assert_eq!(t.number("SELECT COUNT(*) FROM orgs WHERE deleted_at IS NOT NULL").await, 0);
    }

    async fn a_deleted_organisation_keeps_its_slug(t: TestApp) {
        let acme = t.org("acme").await;
        acme.owner.delete("/v1/orgs/acme").await.expect(204).ok();
        let body = json!({ "name": "Acme", "slug": "acme" });
        t.person("dana").await.post("/v1/orgs", body).await.problem(409, "slug_taken");
    }
}

on_each_backend! {
    async fn an_old_sign_in_must_be_renewed_before_a_deletion(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        t.advance(Duration::from_secs(10 * 60 + 1));
        acme.owner.delete("/v1/orgs/acme").await.problem(428, "step_up_required");
        acme.owner.get("/v1/orgs/acme").await.expect(200).ok();
        let owner = acme.owner.signs_in_again().await;
        t.advance(Duration::from_mins(10));
        owner.delete("/v1/orgs/acme").await.expect(204).ok();
    }

    // Prolonging a session proves nothing about who holds it.
    async fn a_refreshed_session_is_no_renewed_sign_in(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        t.advance(Duration::from_secs(10 * 60 + 1));
        let body = json!({ "refresh_token": acme.owner.refresh_token });
        let traded = t.anonymous().post("/v1/auth/token/refresh", body).await.expect(200);
        let owner = t.anonymous().bearer(&traded.at("/access_token"));
        owner.delete("/v1/orgs/acme").await.problem(428, "step_up_required");
    }

    async fn a_deleted_organisation_is_restored_for_thirty_days(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        acme.owner.delete("/v1/orgs/acme").await.expect(204).ok();
        t.advance(30 * DAY);
        let owner = acme.owner.signs_in_again().await;
        owner.post("/v1/orgs/acme/restore", json!({})).await.expect(200).ok();
    }

    async fn a_deleted_organisation_is_gone_after_thirty_one_days(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        acme.owner.delete("/v1/orgs/acme").await.expect(204).ok();
        t.advance(31 * DAY);
        let owner = acme.owner.signs_in_again().await;
        owner.post("/v1/orgs/acme/restore", json!({})).await.problem(404, "not_found");
    }
}
