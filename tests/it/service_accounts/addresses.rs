//! Where keys work from.

use harness::app::Options;
use harness::{TestApp, on_both, on_each_backend};
use serde_json::json;

use super::ACCOUNTS;

on_each_backend! {
    async fn a_key_works_from_the_addresses_of_its_account_alone(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_TRUSTED_PROXIES", "127.0.0.0/8")).await;
        let acme = t.org("acme").await;
        let body = json!({ "name": "robot", "role": "viewer", "ip_allow": ["198.51.100.0/24", "2001:db8::7"] });
        let made = acme.owner.post(ACCOUNTS, body).await.expect(201);
        let robot = |forwarded: &str| t.anonymous().api_key(&made.at("/key")).with("X-Forwarded-For", forwarded);
        for inside in ["198.51.100.9", "2001:db8::7", "::ffff:198.51.100.1", "6.6.6.6, 198.51.100.9"] {
            robot(inside).get("/v1/orgs/acme").await.expect(200).ok();
        }
        // What stands left of the last stranger was written by the client itself.
        for outside in ["192.0.2.1", "2001:db8::8", "198.51.100.9, 192.0.2.1", "198.51.101.9"] {
            let refused = robot(outside).get("/v1/orgs/acme").await.problem(401, "unauthenticated");
            let garbage = t.anonymous().api_key("srm_sak_garbage").get("/v1/orgs/acme").await;
            assert_eq!(refused.at("/detail"), garbage.at("/detail"), "{outside}: it is told like any bad key");
        }
        let path = format!("{ACCOUNTS}/{}", made.at("/id"));
        acme.owner.patch(&path, json!({ "ip_allow": [] })).await.expect(200).ok();
        robot("192.0.2.1").get("/v1/orgs/acme").await.expect(200).ok();
        acme.owner.patch(&path, json!({ "ip_allow": ["203.0.113.0/24"] })).await.expect(200).ok();
        robot("198.51.100.9").get("/v1/orgs/acme").await.problem(401, "unauthenticated");
    }
}

on_both! {
    async fn a_stranger_cannot_name_its_own_address(t: TestApp) {
        let acme = t.org("acme").await;
        let body = json!({ "name": "robot", "role": "viewer", "ip_allow": ["198.51.100.7"] });
        let made = acme.owner.post(ACCOUNTS, body).await.expect(201);
        let robot = t.anonymous().api_key(&made.at("/key"));
        for header in ["X-Forwarded-For", "X-Real-IP", "Forwarded"] {
            robot.with(header, "198.51.100.7").get("/v1/orgs/acme").await.problem(401, "unauthenticated");
        }
    }
}
