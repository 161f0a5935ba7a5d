//! How far a service account reaches: its organisation, or its one project.

use harness::matrix::World;
use harness::matrix::seed::{Seed, builtin};
use harness::on_both;
use serde_json::json;

use super::ACCOUNTS;

on_both! {
    async fn bound_to_a_project_it_acts_there_alone_whatever_it_is_given_elsewhere(t: TestApp) {
        let world = World::build(&t).await;
        let seed = Seed { app: &t, side: &world.own, owner: &world.owner };
        let body = json!({ "name": "web-bot", "project": "web", "role": "developer" });
        let (id, key) = seed.service_account(world.owner.client(), body).await;
        let about = domain::access::Principal::ServiceAccount(id);
        let owner = seed.held(&builtin(domain::access::role::RoleLevel::Org, "owner"), None);
        seed.written_membership(about, owner).await;
        let robot = t.anonymous().api_key(&key);
        let project = |slug: &str| format!("/v1/orgs/acme/projects/{slug}");
        robot.get(&format!("{}/environments/production/secrets/API_KEY", project("web"))).await.expect(200).ok();
        for path in [project("ops"), format!("{}/environments", project("ops"))] {
            robot.get(&path).await.problem(404, "not_found");
        }
        let list = robot.get("/v1/orgs/acme/projects").await.expect(200);
        assert_eq!((list.at("/pagination/total"), list.at("/data/0/slug")), ("1".into(), "web".into()));
        for path in ["/v1/orgs/acme", "/v1/orgs/acme/audit-logs", "/v1/orgs/acme/webhooks", ACCOUNTS] {
            robot.get(path).await.problem(403, "insufficient_scope");
        }
        robot.post("/v1/orgs/acme/projects", json!({ "name": "new" })).await.problem(403, "insufficient_scope");
    }

    async fn it_ends_with_its_project_and_comes_back_with_it(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let body = json!({ "name": "web-bot", "project": "web", "role": "viewer" });
        let made = acme.owner.post(ACCOUNTS, body.clone()).await.expect(201);
        let (robot, path) = (t.anonymous().api_key(&made.at("/key")), format!("{ACCOUNTS}/{}", made.at("/id")));
        robot.get(&web.path).await.expect(200).ok();
        acme.owner.delete(&web.path).await.expect(204).ok();
        robot.get(&web.path).await.problem(401, "unauthenticated");
        acme.owner.get(&path).await.problem(404, "not_found");
        acme.owner.post(&format!("{path}/keys"), json!({})).await.problem(404, "not_found");
        assert_eq!(acme.owner.get(ACCOUNTS).await.at("/pagination/total"), "0");
        acme.owner.post(ACCOUNTS, json!({ "name": "web-bot" })).await.problem(409, "conflict");
        acme.owner.post(&format!("{}/restore", web.path), json!({})).await.expect(200).ok();
        robot.get(&web.path).await.expect(200).ok();
        acme.owner.get(&path).await.expect(200).ok();
    }

    async fn in_other_organisations_it_is_nobody(t: TestApp) {
        let (acme, other) = (t.org("acme").await, t.org("other").await);
        let made = acme.owner.post(ACCOUNTS, json!({ "name": "robot", "role": "admin" })).await.expect(201);
        let robot = t.anonymous().api_key(&made.at("/key"));
        robot.get(&acme.path("")).await.expect(200).ok();
        robot.get(&other.path("")).await.problem(404, "not_found");
        robot.get("/v1/auth/me").await.problem(403, "forbidden");
        robot.get("/v1/orgs").await.problem(403, "forbidden");
    }
}
