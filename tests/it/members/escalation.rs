//! Nobody rises above themselves, or reaches above.

use harness::on_both;
use serde_json::json;

use super::own_role;

on_both! {
    async fn an_admin_neither_makes_nor_touches_an_owner(t: TestApp) {
        let acme = t.org("acme").await;
        let (alex, dana) = (acme.member("alex", "admin").await, t.person("dana").await);
        let members = acme.path("/members");
        let before = t.number("SELECT COUNT(*) FROM journal").await;
        let owner = json!({ "user_id": dana.id.to_string(), "role": "owner" });
        let refused = alex.post(&members, owner).await.problem(403, "forbidden");
        assert!(refused.at("/detail").contains("grant what you hold"), "{}", refused.text());
        alex.post(&members, json!({ "user_id": alex.id.to_string(), "role": "owner" })).await.problem(403, "forbidden");
        let boss = acme.path(&format!("/members/{}", acme.owner.id));
        let refused = alex.delete(&boss).await.problem(403, "forbidden");
        assert!(refused.at("/detail").contains("They hold"), "{}", refused.text());
        for member in [boss, acme.path(&format!("/members/{}", alex.id))] {
            alex.patch(&member, json!({ "role": "viewer" })).await.problem(403, "forbidden");
            alex.post(&format!("{member}/roles"), json!({ "role": "viewer" })).await.problem(403, "forbidden");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM journal").await, before);
        alex.post(&members, json!({ "user_id": dana.id.to_string(), "role": "admin" })).await.expect(201).ok();
        alex.delete(&acme.path(&format!("/members/{}", dana.id))).await.expect(204).ok();
    }

    async fn a_role_of_ones_own_gives_no_more_than_it_holds(t: TestApp) {
        let acme = t.org("acme").await;
        let hiring = ["org:read", "members:read", "members:invite", "members:remove", "members:set_role", "secrets:read@dev"];
        own_role(&acme, "platform", "hiring", &hiring).await;
        let (hanna, dana) = (acme.member("hanna", "hiring").await, acme.member("dana", "viewer").await);
        let eve = t.person("eve").await;
        let add = |role: &str| hanna.post("/v1/orgs/acme/members", json!({ "user_id": eve.id.to_string(), "role": role }));
        for role in ["owner", "admin", "developer", "viewer", "member"] {
            add(role).await.problem(403, "forbidden");
        }
        let wider = json!({ "user_id": eve.id.to_string(), "role": "hiring", "env_classes": ["prod"] });
        hanna.post("/v1/orgs/acme/members", wider).await.problem(403, "forbidden");
        let own = acme.path(&format!("/members/{}", hanna.id));
        hanna.patch(&own, json!({ "role": "owner" })).await.problem(403, "forbidden");
        hanna.post(&format!("{own}/roles"), json!({ "role": "viewer" })).await.problem(403, "forbidden");
        hanna.patch(&own, json!({ "role": "hiring", "env_classes": ["dev", "prod"] })).await.problem(403, "forbidden");
        // A viewer sees projects, which she does not.
        hanna.delete(&acme.path(&format!("/members/{}", dana.id))).await.problem(403, "forbidden");
        add("hiring").await.expect(201).ok();
        hanna.delete(&acme.path(&format!("/members/{}", eve.id))).await.expect(204).ok();
    }

    async fn a_token_gives_no_more_than_its_scopes(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let eve = t.person("eve").await;
        let scopes = json!(["members:invite", "members:set_role", "projects:read", "members:read", "envs:read", "org:read"]);
        let token = acme.owner.token(json!({ "name": "hr", "scopes": scopes })).await;
        let add = |path: String, role: &str| {
            let body = json!({ "user_id": eve.id.to_string(), "role": role });
            let token = token.clone();
            async move { token.post(&path, body).await }
        };
        add(acme.path("/members"), "developer").await.problem(403, "forbidden");
        add(format!("{}/members", web.path), "viewer").await.problem(403, "forbidden");
        add(acme.path("/members"), "member").await.expect(201).ok();
        let member = acme.path(&format!("/members/{}", eve.id));
        token.patch(&member, json!({ "role": "viewer" })).await.problem(403, "forbidden");
        token.delete(&member).await.problem(403, "insufficient_scope");
        let place = json!({ "name": "place", "org": "acme", "patterns": ["web"] });
        let token = acme.owner.token(place).await;
        let body = json!({ "user_id": eve.id.to_string(), "role": "viewer" });
        token.post(&format!("{}/members", web.path), body).await.problem(403, "forbidden");
    }

    async fn a_new_owner_takes_a_session(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let token = acme.owner.token(json!({ "name": "all" })).await;
        let member = acme.path(&format!("/members/{}", dana.id));
        token.patch(&member, json!({ "role": "owner" })).await.problem(403, "session_required");
        token.post(&format!("{member}/roles"), json!({ "role": "owner" })).await.problem(403, "session_required");
        token.patch(&member, json!({ "role": "admin" })).await.expect(200).ok();
        acme.owner.patch(&member, json!({ "role": "owner" })).await.expect(200).ok();
    }

    async fn an_admin_of_a_project_rules_there_and_nowhere_else(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, ops) = (acme.project("web").await, acme.project("ops").await);
        let (pia, dana, eve) = (t.person("pia").await, acme.developer("dana").await, t.person("eve").await);
        acme.grant(pia.id, Some(web.id), "admin").await;
        acme.grant(acme.owner.id, Some(web.id), "viewer").await;
        let members = format!("{}/members", web.path);
        pia.post(&members, json!({ "user_id": eve.id.to_string(), "role": "owner" })).await.problem(403, "forbidden");
        pia.post(&members, json!({ "user_id": eve.id.to_string(), "role": "admin" })).await.expect(201).ok();
        // Somebody's role in the organisation counts where it reaches into the project, and only there.
        pia.post(&members, json!({ "user_id": dana.id.to_string(), "role": "viewer" })).await.expect(201).ok();
        pia.patch(&format!("{members}/{}", dana.id), json!({ "role": "developer" })).await.expect(200).ok();
        pia.delete(&format!("{members}/{}", dana.id)).await.expect(204).ok();
        pia.delete(&format!("{members}/{}", acme.owner.id)).await.problem(403, "forbidden");
        pia.patch(&format!("{members}/{}", acme.owner.id), json!({ "role": "developer" })).await.problem(403, "forbidden");
        let body = json!({ "user_id": eve.id.to_string(), "role": "viewer" });
        pia.post(&format!("{}/members", ops.path), body.clone()).await.problem(404, "not_found");
        pia.post("/v1/orgs/acme/members", body).await.problem(403, "forbidden");
    }

    // Ownership of a project is more than an admin of the organisation has.
    async fn an_admin_does_not_remove_an_owner_of_a_project_with_the_member(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (alex, dana) = (acme.member("alex", "admin").await, acme.developer("dana").await);
        acme.grant(dana.id, Some(web.id), "owner").await;
        let member = acme.path(&format!("/members/{}", dana.id));
        alex.delete(&member).await.problem(403, "forbidden");
        acme.owner.delete(&member).await.expect(204).ok();
    }
}
