//! A service account is no way up: nobody makes one, or takes one over, that holds more than they do.

use domain::access::role::RoleLevel;
use harness::matrix::World;
use harness::matrix::seed::Seed;
use harness::on_both;
use serde_json::json;

use super::ACCOUNTS;

on_both! {
    async fn nobody_makes_an_account_above_themselves(t: TestApp) {
        let world = World::build(&t).await;
        let seed = Seed { app: &t, side: &world.own, owner: &world.owner };
        let admin = t.person("alex").await;
        let role = harness::matrix::seed::builtin(domain::access::role::RoleLevel::Org, "admin");
        seed.membership(domain::access::Principal::User(admin.id), &role, None).await;
        let before = t.number("SELECT COUNT(*) FROM service_accounts").await;
        for body in [json!({ "name": "up", "role": "owner" }), json!({ "name": "up", "project": "web", "role": "owner" })] {
            let refused = admin.post(ACCOUNTS, body).await.problem(403, "forbidden");
            assert!(refused.at("/detail").contains("you do not"), "{}", refused.text());
        }
        // A role that manages service accounts and nothing else.
        let keeper = t.person("kim").await;
        let role = seed.role(RoleLevel::Org, "platform", "keeper", &["org:read", "service_accounts:manage"]).await;
        seed.membership(domain::access::Principal::User(keeper.id), &role, None).await;
        keeper.post(ACCOUNTS, json!({ "name": "up", "role": "viewer" })).await.problem(403, "forbidden");
        // What they do not see they cannot bind to.
        let unseen = keeper.post(ACCOUNTS, json!({ "name": "up", "project": "web" })).await;
        assert_eq!(unseen.problem(422, "invalid_field").at("/errors/0/field"), "project");
        assert_eq!(t.number("SELECT COUNT(*) FROM service_accounts").await, before);
        keeper.post(ACCOUNTS, json!({ "name": "flat" })).await.expect(201).ok();
        admin.post(ACCOUNTS, json!({ "name": "peer", "role": "admin" })).await.expect(201).ok();
    }

    async fn a_token_gives_an_account_no_more_than_its_scopes(t: TestApp) {
        let acme = t.org("acme").await;
        let scopes = json!({ "name": "ci", "org": "acme", "scopes": ["service_accounts:manage", "org:read"] });
        let token = acme.owner.token(scopes).await;
        token.post(ACCOUNTS, json!({ "name": "up", "role": "viewer" })).await.problem(403, "forbidden");
        token.post(ACCOUNTS, json!({ "name": "flat" })).await.expect(201).ok();
        let narrow = acme.owner.token(json!({ "name": "ro", "scopes": ["org:read"] })).await;
        narrow.post(ACCOUNTS, json!({ "name": "no" })).await.problem(403, "insufficient_scope");
    }

    async fn nobody_takes_over_an_account_that_holds_more(t: TestApp) {
        let acme = t.org("acme").await;
        let admin = acme.member("alex", "admin").await;
        let body = json!({ "name": "chief", "role": "owner", "ip_allow": ["192.0.2.1"] });
        let chief = acme.owner.post(ACCOUNTS, body).await.expect(201);
        let path = format!("{ACCOUNTS}/{}", chief.at("/id"));
        let before = acme.owner.get(&path).await.json();
        let refused = admin.post(&format!("{path}/keys"), json!({})).await.problem(403, "forbidden");
        assert!(refused.at("/detail").contains("`org:update`"), "{}", refused.text());
        admin.patch(&path, json!({ "ip_allow": [] })).await.problem(403, "forbidden");
        admin.delete(&format!("{path}/keys/{}", chief.at("/key_id"))).await.problem(403, "forbidden");
        admin.delete(&path).await.problem(403, "forbidden");
        assert_eq!(acme.owner.get(&path).await.json(), before);
        assert_eq!(t.number("SELECT COUNT(*) FROM credentials WHERE kind = 'service_key' AND revoked_at IS NULL").await, 1);
        // Seeing it is no harm, and an owner may do all of it.
        admin.get(&path).await.expect(200).ok();
        acme.owner.post(&format!("{path}/keys"), json!({})).await.expect(201).ok();
        acme.owner.delete(&path).await.expect(204).ok();
    }

    async fn an_account_that_manages_accounts_rises_no_higher_either(t: TestApp) {
        let acme = t.org("acme").await;
        let made = acme.owner.post(ACCOUNTS, json!({ "name": "manager", "role": "admin" })).await.expect(201);
        let robot = t.anonymous().api_key(&made.at("/key"));
        robot.post(ACCOUNTS, json!({ "name": "up", "role": "owner" })).await.problem(403, "forbidden");
        robot.post(ACCOUNTS, json!({ "name": "child", "role": "developer" })).await.expect(201).ok();
        acme.project("web").await;
        let bound = json!({ "name": "bound", "project": "web", "role": "admin" });
        let bound = acme.owner.post(ACCOUNTS, bound).await.expect(201);
        t.anonymous().api_key(&bound.at("/key")).post(ACCOUNTS, json!({ "name": "out" })).await.problem(403, "insufficient_scope");
    }
}
