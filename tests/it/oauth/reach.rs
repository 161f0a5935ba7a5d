//! How far an application's token reaches: never beyond its scopes, nor beyond its person.

use harness::on_both;
use serde_json::json;

use super::{browser, partner};

on_both! {
    async fn a_token_narrows_its_person_and_never_widens(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        for env in ["development", "production"] {
            acme.owner.put(&web.env(env).secret("DB_URL"), json!({ "value": env })).await.ok();
        }
        let dana = acme.developer("dana").await;
        let portal = partner(&dana, json!({ "scopes": ["openid", "secrets:read", "secrets:write@dev"] })).await;
        let access = async |scope: &str| {
            let tokens = portal.signs_in(&t, &browser(&t, &dana).await, scope).await;
            t.anonymous().bearer(&tokens.at("/access_token"))
        };
        let (dev, prod) = (web.env("development").secret("DB_URL"), web.env("production").secret("DB_URL"));
        let reads = access("openid secrets:read").await;
        assert_eq!(reads.get(&dev).await.expect(200).at("/value"), "development");
        reads.get(&prod).await.problem(403, "forbidden");
        reads.put(&dev, json!({ "value": "x" })).await.problem(403, "insufficient_scope");
        reads.delete(&dev).await.problem(403, "insufficient_scope");
        let writes = access("secrets:write@dev").await;
        writes.put(&dev, json!({ "value": "new" })).await.ok();
        writes.get(&dev).await.problem(403, "insufficient_scope");
        writes.put(&prod, json!({ "value": "new" })).await.problem(403, "insufficient_scope");
        let signs_in_only = access("openid").await;
        signs_in_only.get(&dev).await.problem(403, "insufficient_scope");
        acme.remove(dana.id).await;
        reads.get(&dev).await.problem(404, "not_found");
    }

    async fn the_account_itself_is_out_of_reach(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({ "scopes": ["openid", "org:read", "org:update", "tokens:manage"] })).await;
        let tokens = portal.signs_in(&t, &browser(&t, &dana).await, "openid org:read org:update tokens:manage").await;
        let access = t.anonymous().bearer(&tokens.at("/access_token"));
        access.get("/v1/auth/me").await.problem(403, "insufficient_scope");
        access.get("/v1/auth/tokens").await.problem(403, "insufficient_scope");
        access.post("/v1/orgs", json!({ "name": "New" })).await.problem(403, "insufficient_scope");
        for path in ["/v1/auth/sessions", "/v1/auth/emails", "/v1/auth/2fa", "/v1/oauth/clients"] {
            access.get(path).await.problem(403, "session_required");
        }
        access.post("/v1/auth/tokens", json!({ "name": "x" })).await.problem(403, "session_required");
        access.patch("/v1/auth/me", json!({ "first_name": "X" })).await.problem(403, "session_required");
        access.delete("/v1/auth/me").await.problem(403, "session_required");
    }

    async fn an_application_is_named_in_the_audit_log_by_its_credential(t: TestApp) {
        let acme = t.org("acme").await;
        let portal = partner(&acme.owner, json!({ "scopes": ["org:update"] })).await;
        let tokens = portal.signs_in(&t, &browser(&t, &acme.owner).await, "org:update").await;
        let access = t.anonymous().bearer(&tokens.at("/access_token"));
        access.patch("/v1/orgs/acme", json!({ "name": "Acme Ltd" })).await.expect(200).ok();
        let written = "SELECT COUNT(*) FROM journal j JOIN credentials c ON c.id = j.credential_id
            WHERE j.action = 'org.updated' AND c.kind = 'oauth_access'";
        assert_eq!(t.number(written).await, 1);
    }

    async fn an_organisation_that_wants_a_second_factor_wants_it_of_applications_too(t: TestApp) {
        let acme = t.org("acme").await;
        let portal = partner(&acme.owner, json!({})).await;
        let tokens = portal.signs_in(&t, &browser(&t, &acme.owner).await, "org:read").await;
        let access = t.anonymous().bearer(&tokens.at("/access_token"));
        access.get("/v1/orgs/acme").await.expect(200).ok();
        t.sql("UPDATE orgs SET require_mfa = TRUE WHERE slug = 'acme'").await;
        access.get("/v1/orgs/acme").await.problem(403, "second_factor_required");
    }
}
