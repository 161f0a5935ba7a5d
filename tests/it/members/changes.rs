//! Adding, changing and removing members.

use domain::access::facts::{Effect, Subject};
use harness::matrix::World;
use harness::matrix::seed::Seed;
use harness::on_both;
use serde_json::json;

use super::{refused_field, roles};

on_both! {
    async fn somebody_with_an_account_is_added_by_address_or_by_id(t: TestApp) {
        let acme = t.org("acme").await;
        let (dana, erin) = (t.proved_person("dana").await, t.person("erin").await);
        let members = acme.path("/members");
        let added = acme.owner.post(&members, json!({ "email": " DANA@example.com", "role": "developer" })).await.expect(201);
        assert_eq!((added.at("/id"), added.at("/type")), (dana.id.to_string(), "user".into()));
        assert_eq!((added.at("/email"), added.at("/first_name")), (dana.email.clone(), "dana".into()));
        assert_eq!((added.at("/role"), added.at("/status")), ("developer".into(), "active".into()));
        assert_eq!(dana.get("/v1/orgs/acme").await.expect(200).at("/role"), "developer");
        let body = json!({ "user_id": erin.id.to_string(), "role": "viewer" });
        acme.owner.post(&members, body).await.expect(201).ok();
        let events = acme.owner.get("/v1/orgs/acme/audit-logs?action=member.added").await.expect(200);
        assert_eq!((events.at("/data/0/resource_id"), events.at("/data/0/metadata/role")), (erin.id.to_string(), "viewer".into()));
        assert_eq!(events.at("/pagination/total"), "2");
    }

    async fn adding_somebody_again_with_the_same_role_changes_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let before = t.number("SELECT COUNT(*) FROM journal").await;
        let body = json!({ "user_id": dana.id.to_string(), "role": "developer" });
        acme.owner.post(&acme.path("/members"), body).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM journal").await, before);
    }

    async fn adding_somebody_again_with_another_role_is_a_change_of_roles(t: TestApp) {
        let acme = t.org("acme").await;
        let (dana, alex) = (acme.developer("dana").await, acme.member("alex", "admin").await);
        let (members, body) = (acme.path("/members"), json!({ "user_id": dana.id.to_string(), "role": "viewer" }));
        alex.post(&members, body.clone()).await.problem(403, "forbidden");
        assert_eq!(dana.get("/v1/orgs/acme").await.at("/role"), "developer");
        let changed = acme.owner.post(&members, body).await.expect(200).json();
        assert_eq!(roles(&changed), ["viewer"]);
        assert_eq!(dana.get("/v1/orgs/acme").await.at("/role"), "viewer");
    }

    async fn who_is_nobody_is_not_added(t: TestApp) {
        let acme = t.org("acme").await;
        let (dana, gone) = (t.person("dana").await, t.proved_person("gone").await);
        t.sql("UPDATE users SET disabled_at = 1 WHERE first_name = 'gone'").await;
        let before = t.number("SELECT COUNT(*) FROM memberships").await;
        let add = |body| acme.owner.post("/v1/orgs/acme/members", body);
        refused_field(add(json!({ "email": "nobody@example.com", "role": "viewer" })).await, "email");
        refused_field(add(json!({ "email": "nobody", "role": "viewer" })).await, "email");
        refused_field(add(json!({ "email": gone.email, "role": "viewer" })).await, "email");
        refused_field(add(json!({ "role": "viewer" })).await, "email");
        for id in [acme.id.to_string(), "usr_7zzzzzzzzzzzzzzzzzzzzzzzzz".into(), gone.id.to_string(), "dana".into()] {
            refused_field(add(json!({ "user_id": id, "role": "viewer" })).await, "user_id");
        }
        let both = json!({ "user_id": dana.id.to_string(), "email": dana.email, "role": "viewer" });
        refused_field(add(both).await, "user_id");
        assert_eq!(t.number("SELECT COUNT(*) FROM memberships").await, before);
    }

    // Somebody registers with the address of another and waits to be let in instead.
    async fn an_address_that_is_only_claimed_names_nobody_and_answers_like_one_that_nobody_has(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let mallory = t.person("ceo").await;
        let before = t.number("SELECT COUNT(*) FROM memberships").await;
        for members in [acme.path("/members"), format!("{}/members", web.path)] {
            let add = |email: &str| acme.owner.post(&members, json!({ "email": email, "role": "viewer" }));
            refused_field(add(&mallory.email).await, "email");
            let (claimed, unknown) = (add(&mallory.email).await.json(), add("nobody@example.com").await.json());
            assert_eq!(claimed["errors"], unknown["errors"]);
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM memberships").await, before);
        t.sql("UPDATE user_emails SET verified_at = 1 WHERE canonical = 'ceo@example.com'").await;
        let body = json!({ "email": mallory.email, "role": "viewer" });
        acme.owner.post("/v1/orgs/acme/members", body).await.expect(201).ok();
    }

    async fn a_change_gives_one_role_instead_of_all(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.developer("dana").await;
        let member = acme.path(&format!("/members/{}", dana.id));
        acme.owner.post(&format!("{member}/roles"), json!({ "role": "viewer" })).await.expect(201).ok();
        let changed = acme.owner.patch(&member, json!({ "role": "admin" })).await.expect(200);
        assert_eq!((roles(&changed.json()), changed.at("/role")), (vec!["admin"], "admin".into()));
        assert_eq!(dana.get("/v1/orgs/acme").await.at("/role"), "admin");
        let event = acme.owner.get("/v1/orgs/acme/audit-logs?action=member.updated").await.expect(200);
        assert_eq!(event.at("/data/0/metadata/role"), "admin");
    }

    async fn who_is_no_member_is_neither_changed_nor_removed(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = acme.developer("dana").await;
        let eve = t.person("eve").await;
        for id in [eve.id.to_string(), "usr_7zzzzzzzzzzzzzzzzzzzzzzzzz".into(), "dana".into(), acme.id.to_string()] {
            let member = acme.path(&format!("/members/{id}"));
            acme.owner.patch(&member, json!({ "role": "viewer" })).await.problem(404, "not_found");
            acme.owner.delete(&member).await.problem(404, "not_found");
            acme.owner.post(&format!("{member}/roles"), json!({ "role": "viewer" })).await.problem(404, "not_found");
        }
        // A member of the organisation is none of the project.
        let member = format!("{}/members/{}", web.path, dana.id);
        acme.owner.patch(&member, json!({ "role": "viewer" })).await.problem(404, "not_found");
        acme.owner.delete(&member).await.problem(404, "not_found");
    }

    async fn a_removed_member_loses_everything_in_the_organisation_and_nothing_elsewhere(t: TestApp) {
        let world = World::build(&t).await;
        let seed = Seed { app: &t, side: &world.own, owner: &world.owner };
        let dana = t.person("dana").await;
        for members in ["/v1/orgs/acme/members", "/v1/orgs/acme/projects/web/members"] {
            let body = json!({ "user_id": dana.id.to_string(), "role": "viewer" });
            world.owner.post(members, body).await.expect(201).ok();
        }
        let rules = t.number("SELECT COUNT(*) FROM acl_rules").await;
        seed.rule(Subject::User(dana.id), Effect::Allow, "web", &["secrets:write"]).await;
        let bound = dana.token(json!({ "name": "bound", "org": "acme" })).await;
        let free = dana.token(json!({ "name": "free" })).await;
        bound.get("/v1/orgs/acme").await.expect(200).ok();
        let mine = "FROM memberships WHERE subject_id = (SELECT user_id FROM user_emails WHERE canonical = 'dana@example.com')";
        assert_eq!(t.number(&format!("SELECT COUNT(*) {mine}")).await, 3);
        world.owner.delete(&format!("/v1/orgs/acme/members/{}", dana.id)).await.expect(204).ok();
        assert_eq!(t.number(&format!("SELECT COUNT(*) {mine}")).await, 1, "the personal organisation stays");
        assert_eq!(t.number("SELECT COUNT(*) FROM acl_rules").await, rules);
        bound.get("/v1/auth/me").await.problem(401, "unauthenticated");
        free.get("/v1/auth/me").await.expect(200).ok();
        dana.get("/v1/orgs/acme").await.problem(404, "not_found");
    }

    async fn who_is_removed_from_a_project_keeps_what_the_organisation_gives(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (dana, guest) = (acme.developer("dana").await, t.person("guest").await);
        for person in [&dana, &guest] {
            acme.grant(person.id, Some(web.id), "viewer").await;
            person.get(&web.env("production").secrets()).await.expect(200).ok();
            let member = format!("{}/members/{}", web.path, person.id);
            acme.owner.delete(&member).await.expect(204).ok();
        }
        dana.get(&web.env("production").secrets()).await.problem(403, "forbidden");
        dana.get(&web.env("development").secrets()).await.expect(200).ok();
        guest.get(&web.path).await.problem(404, "not_found");
        let event = acme.owner.get("/v1/orgs/acme/audit-logs?action=member.removed").await.expect(200);
        assert_eq!(event.at("/data/0/project_id"), web.id.to_string(), "{}", event.text());
    }

    async fn somebody_who_is_in_projects_alone_can_be_removed_from_the_organisation(t: TestApp) {
        let acme = t.org("acme").await;
        let (web, ops) = (acme.project("web").await, acme.project("ops").await);
        let guest = t.person("guest").await;
        acme.grant(guest.id, Some(web.id), "developer").await;
        acme.grant(guest.id, Some(ops.id), "viewer").await;
        acme.remove(guest.id).await;
        guest.get(&web.path).await.problem(404, "not_found");
        guest.get(&acme.path("")).await.problem(404, "not_found");
    }

    async fn what_is_no_role_here_is_refused_by_name_and_changes_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let (dana, eve) = (acme.developer("dana").await, t.proved_person("eve").await);
        acme.grant(dana.id, Some(web.id), "viewer").await;
        let before = t.number("SELECT COUNT(*) FROM journal").await;
        let add = |body: serde_json::Value| acme.owner.post("/v1/orgs/acme/members", body);
        let patch = |body: serde_json::Value| acme.owner.patch("/v1/orgs/acme/members/x", body);
        refused_field(add(json!({ "email": eve.email, "role": "boss" })).await, "role");
        refused_field(add(json!({ "email": eve.email, "role": "" })).await, "role");
        refused_field(add(json!({ "email": eve.email, "role": "viewer", "env_classes": [] })).await, "env_classes");
        refused_field(add(json!({ "email": eve.email, "role": "member", "env_classes": ["dev"] })).await, "env_classes");
        refused_field(add(json!({ "email": eve.email, "role": "owner", "env_classes": ["dev"] })).await, "env_classes");
        let past = "2020-01-02T03:04:05Z";
        refused_field(add(json!({ "email": eve.email, "role": "viewer", "expires_at": past })).await, "expires_at");
        patch(json!({ "role": "viewer" })).await.problem(404, "not_found");
        let in_project = format!("{}/members/{}", web.path, dana.id);
        refused_field(acme.owner.patch(&in_project, json!({ "role": "member" })).await, "role");
        let in_org = acme.path(&format!("/members/{}", dana.id));
        // Ids of built-in roles are the same everywhere; those of projects end in 1x.
        let project_viewer = domain::access::BuiltinRole::PROJECT_VIEWER.id.to_string();
        refused_field(acme.owner.patch(&in_org, json!({ "role": project_viewer })).await, "role");
        acme.owner.patch(&in_project, json!({ "role": project_viewer })).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM journal").await, before + 1);
    }
}
