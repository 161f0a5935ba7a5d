//! Joining what is open, and leaving.

use harness::on_both;
use serde_json::json;

use super::{own_role, refused_field, roles};

on_both! {
    async fn an_open_organisation_lets_everybody_in_once(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = t.person("dana").await;
        let closed = dana.post("/v1/orgs/acme/join", json!({})).await.problem(404, "not_found");
        let absent = dana.post("/v1/orgs/nowhere/join", json!({})).await.problem(404, "not_found");
        assert_eq!(closed.at("/detail"), absent.at("/detail"));
        acme.owner.patch("/v1/orgs/acme", json!({ "join_policy": "open" })).await.expect(200).ok();
        let joined = dana.post("/v1/orgs/acme/join", json!({})).await.expect(201);
        assert_eq!((joined.at("/id"), joined.at("/role")), (dana.id.to_string(), "member".into()));
        dana.post("/v1/orgs/acme/join", json!({})).await.problem(409, "conflict");
        let event = acme.owner.get("/v1/orgs/acme/audit-logs?action=member.joined").await.expect(200);
        assert_eq!((event.at("/data/0/actor/id"), event.at("/data/0/metadata/role")), (dana.id.to_string(), "member".into()));
        dana.post("/v1/orgs/acme/leave", json!({})).await.expect(204).ok();
        dana.get("/v1/orgs/acme").await.problem(404, "not_found");
        let shown = acme.owner.patch("/v1/orgs/acme", json!({ "join_policy": "closed" })).await.expect(200);
        assert_eq!((shown.at("/join_policy"), shown.at("/join_role")), ("closed".into(), "member".into()));
        dana.post("/v1/orgs/acme/join", json!({})).await.problem(404, "not_found");
    }

    async fn a_verified_address_in_the_very_domain_lets_in(t: TestApp) {
        let acme = t.org("acme").await;
        let (dana, sub, evil) = (t.person("dana").await, t.person("sub").await, t.person("evil").await);
        let domain = json!({ "join_policy": "domain", "join_domains": [" Example.COM"], "join_role": "viewer" });
        refused_field(acme.owner.patch("/v1/orgs/acme", domain.clone()).await, "join_domains[0]");
        t.sql("UPDATE user_emails SET verified_at = 1 WHERE canonical = 'acme-owner@example.com'").await;
        let changed = acme.owner.patch("/v1/orgs/acme", domain).await.expect(200);
        assert_eq!((changed.json()["join_domains"].clone(), changed.at("/join_role")), (json!(["example.com"]), "viewer".into()));
        dana.post("/v1/orgs/acme/join", json!({})).await.problem(404, "not_found");
        t.sql("UPDATE user_emails SET verified_at = 1").await;
        t.sql("UPDATE user_emails SET canonical = 'sub@dev.example.com' WHERE canonical = 'sub@example.com'").await;
        t.sql("UPDATE user_emails SET canonical = 'evil@notexample.com' WHERE canonical = 'evil@example.com'").await;
        for other in [&sub, &evil] {
            other.post("/v1/orgs/acme/join", json!({})).await.problem(404, "not_found");
        }
        let joined = dana.post("/v1/orgs/acme/join", json!({})).await.expect(201).json();
        assert_eq!(roles(&joined), ["viewer"]);
    }

    async fn what_joining_gives_is_bounded_by_who_says_so(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        t.sql("UPDATE user_emails SET verified_at = 1, canonical = 'boss@gmail.com' WHERE canonical = 'acme-owner@example.com'").await;
        let org = |patch: serde_json::Value| acme.owner.patch("/v1/orgs/acme", patch);
        for (patch, field) in [
            (json!({ "join_policy": "domain" }), "join_domains"),
            (json!({ "join_domains": ["gmail.com"] }), "join_domains[0]"),
            (json!({ "join_domains": ["rival.com"] }), "join_domains[0]"),
            (json!({ "join_role": "owner" }), "join_role"),
            (json!({ "join_role": "boss" }), "join_role"),
        ] {
            refused_field(org(patch).await, field);
        }
        org(json!({ "join_policy": "everybody" })).await.problem(422, "invalid_field");
        let shown = acme.owner.get("/v1/orgs/acme").await.expect(200);
        assert_eq!((shown.at("/join_policy"), shown.json()["join_domains"].clone()), ("closed".into(), json!([])));
        refused_field(acme.owner.patch(&web.path, json!({ "join_role": "owner" })).await, "join_role");
        refused_field(acme.owner.patch(&web.path, json!({ "join_role": "member" })).await, "join_role");
        // Opening a project to what one does not hold oneself is giving it away.
        let hired = ["org:read", "projects:read", "projects:update"];
        own_role(&acme, "platform", "caretaker", &hired).await;
        let cleo = acme.member("cleo", "caretaker").await;
        cleo.patch(&web.path, json!({ "join_policy": "open" })).await.problem(403, "forbidden");
        cleo.patch(&web.path, json!({ "description": "kept" })).await.expect(200).ok();
        let token = json!({ "name": "narrow", "scopes": ["org:read", "org:update"] });
        let token = acme.owner.token(token).await;
        token.patch("/v1/orgs/acme", json!({ "join_policy": "open", "join_role": "admin" })).await.problem(403, "forbidden");
        token.patch("/v1/orgs/acme", json!({ "require_mfa": false })).await.expect(200).ok();
    }

    async fn an_open_project_lets_the_people_of_its_organisation_in(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, ops) = (acme.project("web").await, acme.project("ops").await);
        let (mia, guest, eve) = (acme.member("mia", "member").await, t.person("guest").await, t.person("eve").await);
        acme.grant(guest.id, Some(ops.id), "viewer").await;
        let join = format!("{}/join", web.path);
        mia.post(&join, json!({})).await.problem(403, "forbidden");
        let opened = json!({ "join_policy": "open", "join_role": "developer" });
        let shown = acme.owner.patch(&web.path, opened).await.expect(200);
        assert_eq!((shown.at("/join_policy"), shown.at("/join_role")), ("open".into(), "developer".into()));
        for outside in [&guest, &eve] {
            outside.post(&join, json!({})).await.problem(404, "not_found");
        }
        let joined = mia.post(&join, json!({})).await.expect(201).json();
        assert_eq!(roles(&joined), ["developer"]);
        mia.post(&join, json!({})).await.problem(409, "conflict");
        mia.get(&web.env("production").secrets()).await.expect(200).ok();
        mia.post(&format!("{}/leave", web.path), json!({})).await.expect(204).ok();
        mia.get(&web.env("production").secrets()).await.problem(403, "forbidden");
        // Replaced as a whole, it is closed again.
        let replaced = acme.owner.put(&web.path, json!({ "name": "Web", "slug": "web" })).await.expect(200);
        assert_eq!((replaced.at("/join_policy"), replaced.at("/join_role")), ("closed".into(), "viewer".into()));
    }

    async fn what_one_has_by_the_organisation_is_not_left_in_a_project(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = acme.developer("dana").await;
        let refused = dana.post(&format!("{}/leave", web.path), json!({})).await.problem(409, "conflict");
        assert!(refused.at("/detail").contains("role in the organisation"), "{}", refused.text());
        t.person("eve").await.post(&format!("{}/leave", web.path), json!({})).await.problem(404, "not_found");
    }

    async fn leaving_an_organisation_leaves_its_projects(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, ops) = (acme.project("web").await, acme.project("ops").await);
        let (dana, guest) = (acme.developer("dana").await, t.person("guest").await);
        let bound = dana.token(json!({ "name": "ci", "org": "acme" })).await;
        for person in [&dana, &guest] {
            acme.grant(person.id, Some(web.id), "viewer").await;
            acme.grant(person.id, Some(ops.id), "admin").await;
            person.post("/v1/orgs/acme/leave", json!({})).await.expect(204).ok();
            person.get(&web.path).await.problem(404, "not_found");
            person.get(&ops.path).await.problem(404, "not_found");
            person.post("/v1/orgs/acme/leave", json!({})).await.problem(404, "not_found");
        }
        bound.get("/v1/auth/me").await.problem(401, "unauthenticated");
    }

    async fn a_narrowed_token_neither_joins_nor_leaves(t: TestApp) {
        let acme = t.org("acme").await;
        acme.owner.patch("/v1/orgs/acme", json!({ "join_policy": "open" })).await.expect(200).ok();
        let dana = t.person("dana").await;
        let elsewhere = dana.token(json!({ "name": "home", "org": "dana" })).await;
        elsewhere.post("/v1/orgs/acme/join", json!({})).await.problem(404, "not_found");
        let narrow = dana.token(json!({ "name": "narrow", "scopes": ["org:read"] })).await;
        narrow.post("/v1/orgs/acme/join", json!({})).await.problem(403, "insufficient_scope");
        dana.get("/v1/orgs/acme").await.problem(404, "not_found");
        dana.token(json!({ "name": "all" })).await.post("/v1/orgs/acme/join", json!({})).await.expect(201).ok();
        narrow.post("/v1/orgs/acme/leave", json!({})).await.problem(403, "insufficient_scope");
        dana.get("/v1/orgs/acme").await.expect(200).ok();
    }
}
