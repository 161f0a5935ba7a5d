//! Several roles of one member, for some classes and for a while.

use std::time::Duration;

use harness::app::Options;
use harness::matrix::World;
use harness::matrix::seed::Seed;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

use super::{own_role, refused_field, roles};

on_both! {
    async fn several_roles_add_up_and_one_can_be_taken(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let dana = acme.developer("dana").await;
        let mine = acme.path(&format!("/members/{}/roles", dana.id));
        let prod = web.env("production").secrets();
        dana.get(&prod).await.problem(403, "forbidden");
        let on_call = json!({ "role": "viewer", "env_classes": ["prod"] });
        let both = acme.owner.post(&mine, on_call.clone()).await.expect(201).json();
        assert_eq!(roles(&both), ["developer", "viewer"]);
        assert_eq!(both["roles"][1]["env_classes"], json!(["prod"]));
        dana.get(&prod).await.expect(200).ok();
        acme.owner.post(&mine, on_call).await.expect(200).ok();
        let narrower = json!({ "role": "viewer", "env_classes": ["dev"] });
        acme.owner.post(&mine, narrower).await.expect(200).ok();
        dana.get(&prod).await.problem(403, "forbidden");
        acme.owner.delete(&format!("{mine}/viewer")).await.expect(204).ok();
        acme.owner.delete(&format!("{mine}/viewer")).await.problem(404, "not_found");
        acme.owner.delete(&format!("{mine}/boss")).await.problem(404, "not_found");
        acme.owner.delete(&format!("{mine}/developer")).await.problem(409, "conflict");
        assert_eq!(dana.get("/v1/orgs/acme").await.at("/role"), "developer");
        let events = acme.owner.get("/v1/orgs/acme/audit-logs?action=member.updated").await.expect(200);
        assert_eq!(events.at("/pagination/total"), "3", "saying the same again is no event");
        assert_eq!(events.at("/data/0/metadata/removed_role"), "viewer");
    }

    async fn a_service_account_gets_roles_as_a_person_does(t: TestApp) {
        let world = World::build(&t).await;
        let seed = Seed { app: &t, side: &world.own, owner: &world.owner };
        let (robot, key) = seed.service_account(world.owner.client(), json!({ "name": "mixer" })).await;
        let machine = t.anonymous().api_key(&key);
        machine.get("/v1/orgs/acme").await.problem(404, "not_found");
        let mine = format!("/v1/orgs/acme/members/{robot}/roles");
        world.owner.post(&mine, json!({ "role": "member" })).await.expect(201).ok();
        machine.get("/v1/orgs/acme").await.expect(200).ok();
        let body = json!({ "user_id": robot.to_string(), "role": "viewer" });
        world.owner.post("/v1/orgs/acme/projects/web/members", body.clone()).await.expect(201).ok();
        let listed = world.owner.get("/v1/orgs/acme/members?search=MIXER").await.expect(200);
        assert_eq!((listed.at("/data/0/type"), listed.at("/data/0/name")), ("service_account".into(), "mixer".into()));
        assert_eq!(listed.at("/pagination/total"), "1");
        // Another tenant's machine is nobody here.
        refused_field(world.outsider.post("/v1/orgs/globex/members", body).await, "user_id");
        let theirs = format!("/v1/orgs/globex/members/{robot}/roles");
        world.outsider.post(&theirs, json!({ "role": "member" })).await.problem(404, "not_found");
        world.owner.delete(&format!("/v1/orgs/acme/members/{robot}")).await.expect(204).ok();
        machine.get("/v1/orgs/acme").await.problem(404, "not_found");
    }

    async fn a_role_of_the_organisations_own_is_given_by_name_or_id(t: TestApp) {
        let acme = t.org("acme").await;
        let auditor = own_role(&acme, "platform", "auditor", &["org:read", "audit:read"]).await;
        for (name, reference) in [("dana", "auditor".to_owned()), ("erin", auditor.clone())] {
            let person = acme.member(name, &reference).await;
            assert_eq!(person.get("/v1/orgs/acme").await.expect(200).at("/role"), "auditor");
            person.get("/v1/orgs/acme/audit-logs").await.expect(200).ok();
        }
        let (globex, eve) = (t.org("globex").await, t.person("eve").await);
        let body = |role: &str| json!({ "user_id": eve.id.to_string(), "role": role });
        for reference in ["auditor".to_owned(), auditor] {
            refused_field(globex.owner.post("/v1/orgs/globex/members", body(&reference)).await, "role");
        }
    }

    // Strings of the tenant's own application mean nothing here, whatever they are called.
    async fn a_role_of_the_application_grants_nothing_and_takes_the_right_to_change_roles(t: TestApp) {
        let acme = t.org("acme").await;
        own_role(&acme, "app", "editor", &["org:read", "secrets:read"]).await;
        let alex = acme.member("alex", "admin").await;
        let eve = t.person("eve").await;
        let body = json!({ "user_id": eve.id.to_string(), "role": "editor" });
        alex.post("/v1/orgs/acme/members", body.clone()).await.problem(403, "forbidden");
        let added = acme.owner.post("/v1/orgs/acme/members", body).await.expect(201).json();
        assert_eq!(roles(&added), ["editor"]);
        eve.get("/v1/orgs/acme").await.problem(404, "not_found");
    }
}

on_each_backend! {
    async fn a_role_for_a_while_ends_by_itself_and_can_be_given_anew(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let dana = t.person("dana").await;
        let end = (t.clock.now() + Duration::from_mins(30)).to_string();
        let body = json!({ "user_id": dana.id.to_string(), "role": "viewer", "expires_at": end });
        let added = acme.owner.post("/v1/orgs/acme/members", body).await.expect(201);
        assert_eq!(added.at("/roles/0/expires_at"), end);
        t.advance(Duration::from_mins(29));
        dana.get("/v1/orgs/acme").await.expect(200).ok();
        t.advance(Duration::from_mins(1));
        dana.get("/v1/orgs/acme").await.problem(404, "not_found");
        assert_eq!(acme.owner.get("/v1/orgs/acme/members").await.at("/pagination/total"), "1");
        let body = json!({ "user_id": dana.id.to_string(), "role": "viewer" });
        let again = acme.owner.post("/v1/orgs/acme/members", body).await.expect(201);
        assert_eq!(again.at("/created_at"), t.clock.now().to_string());
        dana.get("/v1/orgs/acme").await.expect(200).ok();
    }
}
