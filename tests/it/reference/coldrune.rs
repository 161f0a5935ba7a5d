//! coldrune: codes by mail, organisations with members, access rules, service accounts, an audit log.

use harness::on_both;
use serde_json::json;

use super::{code, verified};

on_both! {
    async fn coldrune_authentication(t: TestApp) {
        verified(&t, "dana@example.com").await;
        let asked = t.anonymous().post("/v1/auth/code", json!({ "email": "dana@example.com" })).await.expect(200);
        let digits = code(&t, "dana@example.com", 2).await;
        let body = json!({ "challenge_token": asked.at("/challenge_token"), "code": digits, "transport": "bearer" });
        let session = t.anonymous().post("/v1/auth/code/verify", body).await.expect(200);
        let dana = t.anonymous().bearer(&session.at("/access_token"));
        assert_eq!(dana.get("/v1/auth/me").await.expect(200).at("/email"), "dana@example.com");
        dana.post("/v1/auth/logout", json!({})).await.expect(204).ok();
        dana.get("/v1/auth/me").await.problem(401, "unauthenticated");
    }

    async fn coldrune_organisations_and_members(t: TestApp) {
        let owner = t.person("owner").await;
        let made = owner.post("/v1/orgs", json!({ "name": "Cold Corp", "slug": "cold-corp" })).await.expect(201);
        assert_eq!(made.at("/role"), "owner", "the caller becomes owner");
        let dev = t.person("dev").await;
        let members = "/v1/orgs/cold-corp/members";
        dev.get("/v1/orgs/cold-corp").await.problem(404, "not_found");
        owner.post(members, json!({ "email": dev.email, "role": "developer" })).await.expect(201).ok();
        assert!(dev.get("/v1/orgs").await.expect(200).text().contains("cold-corp"));
        dev.post(members, json!({ "email": "owner@example.com", "role": "member" })).await.problem(403, "forbidden");
        let member = format!("{members}/{}", dev.id);
        dev.patch(&member, json!({ "role": "owner" })).await.problem(403, "forbidden");
        assert_eq!(owner.patch(&member, json!({ "role": "admin" })).await.expect(200).at("/role"), "admin");
        dev.patch(&format!("{members}/{}", owner.id), json!({ "role": "member" })).await.problem(403, "forbidden");
        owner.patch(&format!("{members}/{}", owner.id), json!({ "role": "admin" })).await.problem(409, "last_owner");
        owner.patch("/v1/orgs/cold-corp", json!({ "name": "Colder Corp" })).await.expect(200).ok();
        dev.patch("/v1/orgs/cold-corp", json!({ "name": "Mine" })).await.problem(403, "forbidden");
        owner.delete(&member).await.expect(204).ok();
        dev.get("/v1/orgs/cold-corp").await.problem(404, "not_found");
        owner.delete("/v1/orgs/cold-corp").await.expect(204).ok();
        owner.get("/v1/orgs/cold-corp").await.problem(404, "not_found");
    }

    async fn coldrune_access_rules(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let secret = project.env("staging").secret("STRIPE_KEY");
        acme.owner.put(&secret, json!({ "value": "sk_test" })).await.expect(201).ok();
        let dana = acme.member("dana", "member").await;
        dana.get(&secret).await.problem(403, "forbidden");
        let rules = acme.path("/acl");
        let rule = |permissions: serde_json::Value| {
            json!({ "subject": { "type": "user", "email": "dana@example.com" }, "pattern": "web/staging/STRIPE_*", "permissions": permissions })
        };
        dana.post(&rules, rule(json!(["secrets:read"]))).await.problem(403, "forbidden");
        let made = acme.owner.post(&rules, rule(json!(["secrets:read"]))).await.expect(201);
        assert_eq!(dana.get(&secret).await.expect(200).at("/value"), "sk_test");
        dana.put(&secret, json!({ "value": "x" })).await.problem(403, "forbidden");
        let again = acme.owner.post(&rules, rule(json!(["secrets:read", "secrets:write"]))).await.expect(200);
        assert_eq!(again.at("/id"), made.at("/id"), "the same subject and pattern: the same rule");
        dana.put(&secret, json!({ "value": "sk_new" })).await.expect(200).ok();
        let listed = acme.owner.get(&rules).await.expect(200);
        assert_eq!((listed.at("/pagination/total"), listed.at("/data/0/pattern")), ("1".into(), "web/staging/STRIPE_*".into()));
        acme.owner.delete(&format!("{rules}/{}", made.at("/id"))).await.expect(204).ok();
        dana.get(&secret).await.problem(403, "forbidden");
    }

    async fn coldrune_service_accounts(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("web").await;
        let secret = project.env("production").secret("DB_URL");
        acme.owner.put(&secret, json!({ "value": "postgres://db" })).await.expect(201).ok();
        let accounts = acme.path("/service-accounts");
        let made = acme.owner.post(&accounts, json!({ "name": "deploy" })).await.expect(201);
        assert!(made.at("/key").starts_with("srm_sak_"));
        let deploy = t.anonymous().api_key(&made.at("/key"));
        deploy.get(&secret).await.problem(404, "not_found");
        let rule = json!({ "subject": { "type": "service_account", "id": made.at("/id") }, "pattern": "web/production", "permissions": ["secrets:read"] });
        acme.owner.post(&acme.path("/acl"), rule).await.expect(201).ok();
        assert_eq!(deploy.get(&secret).await.expect(200).at("/value"), "postgres://db");
        let listed = acme.owner.get(&accounts).await.expect(200);
        assert_eq!(listed.at("/data/0/name"), "deploy");
        assert!(!listed.text().contains(&made.at("/key")), "shown once");
        let bound = acme.owner.post(&accounts, json!({ "name": "web-only", "project": "web", "role": "viewer" })).await.expect(201);
        let other = acme.project("ops").await;
        acme.owner.put(&other.env("production").secret("A"), json!({ "value": "a" })).await.expect(201).ok();
        let bound = t.anonymous().api_key(&bound.at("/key"));
        bound.get(&secret).await.expect(200).ok();
        bound.get(&other.env("production").secret("A")).await.problem(404, "not_found");
        acme.owner.delete(&format!("{accounts}/{}", made.at("/id"))).await.expect(204).ok();
        deploy.get(&secret).await.problem(401, "unauthenticated");
        assert_eq!(acme.owner.get(&acme.path("/acl")).await.at("/pagination/total"), "0", "its rules went with it");
    }

    async fn coldrune_audit_log(t: TestApp) {
        let acme = t.org("acme").await;
        let secret = acme.project("web").await.env("production").secret("A");
        acme.owner.put(&secret, json!({ "value": "a" })).await.expect(201).ok();
        let logs = acme.path("/audit-logs");
        let first = acme.owner.get(&format!("{logs}?limit=1")).await.expect(200);
        assert_eq!(first.at("/data/0/action"), "secret.created");
        let next = acme.owner.get(&format!("{logs}?limit=1&after={}", first.at("/pagination/next_cursor"))).await.expect(200);
        assert_eq!(next.at("/data/0/action"), "project.created");
        let filtered = acme.owner.get(&format!("{logs}?action=org.created&resource_type=org&actor_id={}", acme.owner.id)).await;
        assert_eq!(filtered.expect(200).at("/data/0/resource_type"), "org");
        acme.member("dana", "developer").await.get(&logs).await.problem(403, "forbidden");
    }
}
