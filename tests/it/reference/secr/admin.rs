//! Looking after the platform.

use harness::on_both;
use harness::people::PASSWORD;
use serde_json::json;

use super::{DEV, colleague, import, my_proj};
use crate::reference::{TOKENS, texts};

on_both! {
    async fn platform_stats_are_for_administrators(t: TestApp) {
        let owner = my_proj(&t).await;
        import(&owner, &json!({ "A": "a", "B": "b" })).await;
        let developer = colleague(&t, &owner, "developer").await;
        let body = json!({
            "setup_token": t.setup_token(), "email": "root@example.com", "password": PASSWORD, "transport": "bearer",
        });
        let made = t.anonymous().post("/v1/setup/create-admin", body).await.expect(201);
        let admin = t.anonymous().bearer(&made.at("/access_token"));
        let stats = admin.get("/v1/admin/stats").await.expect(200);
        // Each account has an organisation of its own beside the one.
        assert_eq!(texts(&stats, ["/users", "/orgs", "/projects", "/secrets"]), ["3", "4", "1", "2"]);
        for path in ["stats", "config", "users", "projects", "invites", "jobs"].map(|part| format!("/v1/admin/{part}")) {
            let answer = admin.get(&path).await.expect(200);
            assert!(!answer.text().contains("\"value\":\"a\""), "{path}");
            owner.get(&path).await.problem(403, "forbidden");
            developer.get(&path).await.problem(403, "forbidden");
            t.anonymous().get(&path).await.problem(401, "unauthenticated");
        }
        // An administrator is nobody special in an organisation, and a token is no administrator.
        admin.get(&format!("{DEV}/secrets")).await.problem(404, "not_found");
        let token = admin.post(TOKENS, json!({ "name": "CLI" })).await.expect(201).at("/token");
        t.anonymous().bearer(&token).get("/v1/admin/stats").await.problem(403, "session_required");
    }
}
