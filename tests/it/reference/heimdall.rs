//! heimdall: custom roles, several roles for a member, machine credentials, invitations with limits, an audit trail.
//! Its users of an application and its signed tokens belong to federation.

use harness::on_both;
use serde_json::json;

use super::{PASSWORD, invitation};

on_both! {
    async fn heimdall_apps(t: TestApp) {
        let owner = t.person("owner").await;
        owner.post("/v1/orgs", json!({ "name": "Acme Corporation", "slug": "acme-corp" })).await.expect(201).ok();
        let metadata = json!({ "plan": "growth", "region": "us-east-1" });
        let updated = owner.patch("/v1/orgs/acme-corp", json!({ "metadata": metadata })).await.expect(200);
        assert_eq!(updated.at("/metadata/region"), "us-east-1");
        assert!(owner.get("/v1/orgs").await.expect(200).text().contains("acme-corp"));
        assert_eq!(owner.get("/v1/orgs/acme-corp").await.expect(200).at("/name"), "Acme Corporation");
    }

    async fn heimdall_roles(t: TestApp) {
        let acme = t.org("acme-corp").await;
        let roles = acme.path("/roles");
        let permissions = json!(["projects:read", "projects:write", "comments:read", "comments:write"]);
        let editor = json!({ "name": "editor", "display_name": "Editor", "audience": "app", "permissions": permissions });
        let made = acme.owner.post(&roles, editor).await.expect(201);
        assert_eq!((made.at("/name"), made.json()["permissions"].clone()), ("editor".into(), permissions));
        let shown = acme.owner.get(&format!("{roles}/{}", made.at("/id"))).await.expect(200);
        assert_eq!(shown.at("/display_name"), "Editor");
        let changed = acme.owner.patch(&format!("{roles}/{}", made.at("/id")), json!({ "permissions": ["projects:read"] })).await.expect(200);
        assert_eq!(changed.at("/permissions/0"), "projects:read");
        let dana = acme.member("dana", "member").await;
        let held = acme.path(&format!("/members/{}/roles", dana.id));
        acme.owner.post(&held, json!({ "role": made.at("/id") })).await.ok();
        let listed = acme.owner.get(&acme.path("/members?search=dana")).await.expect(200);
        assert_eq!(listed.json()["data"][0]["roles"].as_array().map(Vec::len), Some(2), "several roles");
        // The application's own string is no permission of ours.
        dana.get(&acme.path("/audit-logs")).await.problem(403, "forbidden");
        acme.owner.delete(&format!("{held}/{}", made.at("/id"))).await.ok();
        acme.owner.delete(&format!("{roles}/{}", made.at("/id"))).await.expect(204).ok();
        acme.owner.get(&format!("{roles}/{}", made.at("/id"))).await.problem(404, "not_found");
    }

    async fn heimdall_service_credentials(t: TestApp) {
        let acme = t.org("acme-corp").await;
        let accounts = acme.path("/service-accounts");
        let made = acme.owner.post(&accounts, json!({ "name": "billing-service" })).await.expect(201);
        assert!(made.at("/client_id").starts_with("sa_") && made.at("/client_secret").starts_with("srm_sak_"));
        let account = format!("{accounts}/{}", made.at("/id"));
        let second = acme.owner.post(&format!("{account}/keys"), json!({ "name": "next" })).await.expect(201);
        let (old, new) = (t.anonymous().api_key(&made.at("/key")), t.anonymous().api_key(&second.at("/key")));
        let known = |answer: harness::Answer| answer.status() != 401;
        assert!(known(old.get(&acme.path("")).await) && known(new.get(&acme.path("")).await), "both work while they are changed");
        let keys = acme.owner.get(&format!("{account}/keys")).await.expect(200).json();
        let first = keys["data"].as_array().into_iter().flatten().find(|key| key["id"] != second.json()["id"]).cloned();
        let first = first.expect("the first key")["id"].as_str().expect("an id").to_owned();
        acme.owner.delete(&format!("{account}/keys/{first}")).await.expect(204).ok();
        assert!(!known(old.get(&acme.path("")).await) && known(new.get(&acme.path("")).await));
        acme.owner.delete(&account).await.expect(204).ok();
        assert!(!known(new.get(&acme.path("")).await));
    }

    async fn heimdall_invites(t: TestApp) {
        let acme = t.org("acme-corp").await;
        let invites = acme.path("/invites");
        let body = json!({ "email": "bob@example.com", "role": "developer", "expires_in_hours": 72, "max_uses": 1 });
        let made = acme.owner.post(&invites, body).await.expect(201);
        assert_eq!((made.at("/max_uses"), made.at("/uses"), made.at("/role")), ("1".into(), "0".into(), "developer".into()));
        assert_eq!(acme.owner.get(&invites).await.expect(200).at("/data/0/email"), "bob@example.com");
        let token = invitation(&t, "bob@example.com", 1).await;
        let joined = t.anonymous().post(&format!("/v1/invites/{token}/accept"), json!({ "password": PASSWORD, "transport": "bearer" })).await.expect(201);
        let bob = t.anonymous().bearer(&joined.at("/access_token"));
        assert_eq!(bob.get(&acme.path("")).await.expect(200).at("/role"), "developer");
        let link = acme.owner.post(&invites, json!({ "role": "viewer", "max_uses": 2 })).await.expect(201);
        let token = link.at("/token");
        for (name, status) in [("one", 200), ("two", 200), ("three", 409)] {
            let person = t.person(name).await;
            let answer = person.post(&format!("/v1/invites/{token}/accept"), json!({})).await;
            assert_eq!(answer.status(), status, "{name}: {}", answer.text());
        }
        let other = acme.owner.post(&invites, json!({ "role": "viewer" })).await.expect(201);
        acme.owner.delete(&format!("{invites}/{}", other.at("/id"))).await.expect(204).ok();
    }

    async fn heimdall_audit_logs(t: TestApp) {
        let acme = t.org("acme-corp").await;
        let dana = acme.member("dana", "viewer").await;
        acme.owner.patch(&acme.path(&format!("/members/{}", dana.id)), json!({ "role": "developer" })).await.expect(200).ok();
        let logs = acme.owner.get(&acme.path("/audit-logs?action=member.updated&limit=10")).await.expect(200);
        assert_eq!((logs.at("/data/0/actor/id"), logs.at("/data/0/resource_id")), (acme.owner.id.to_string(), dana.id.to_string()));
        assert_eq!((logs.at("/pagination/limit"), logs.at("/pagination/has_more")), ("10".into(), "false".into()));
        let entry = acme.owner.get(&acme.path(&format!("/audit-logs/{}", logs.at("/data/0/id")))).await.expect(200);
        assert_eq!(entry.at("/ip_address"), "127.0.0.1");
    }
}
