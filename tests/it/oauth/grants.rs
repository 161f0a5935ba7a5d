//! The applications that somebody lets act for them: seen, and stopped.

use harness::{TestApp, on_both};
use serde_json::{Value, json};

use super::{DEVICE_GRANT, browser, error, partner, post, sent};

const GRANTS: &str = "/v1/oauth/grants";
const CLI: &str = "strongroom-cli";

/// Ids of the entries of a list.
fn ids(list: &Value) -> Vec<String> {
    let entries = list["data"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry["id"].as_str().map(str::to_owned))
        .collect()
}

/// Our command line asks, and somebody approves; answers the device code.
async fn approved(t: &TestApp, person: &harness::Person) -> String {
    let begun = t.anonymous().post("/v1/auth/device", json!({})).await.expect(200);
    let approve = json!({ "user_code": begun.at("/user_code"), "decision": "approve" });
    person.post("/v1/auth/device/approve", approve).await.expect(200).ok();
    begun.at("/device_code")
}

async fn look(t: &TestApp, device: &str) -> harness::Answer {
    let pairs = [
        ("grant_type", DEVICE_GRANT),
        ("device_code", device),
        ("client_id", CLI),
    ];
    post(&t.anonymous(), "/oauth/token", &pairs).await
}

on_both! {
    async fn people_see_what_they_let_applications_do_one_entry_each(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = &acme.owner;
        assert_eq!(dana.get(GRANTS).await.expect(200).at("/pagination/total"), "0");
        let homepage = "https://portal.example.com/";
        let portal = partner(dana, json!({ "name": "Portal", "homepage": homepage })).await;
        let window = browser(&t, dana).await;
        portal.signs_in(&t, &window, "openid email").await;
        let asked = [("scope", "openid org:read"), ("organization", "acme")];
        let id = acme.id.to_string();
        let page = super::decides(&window, &portal.asks(&asked), "approve", &[("org", id.as_str())]).await;
        let tokens = portal.trades(&t, &sent(&page)["code"]).await.expect(200);
        t.anonymous().bearer(&tokens.at("/access_token")).get("/v1/orgs/acme").await.expect(200).ok();
        approved(&t, dana).await;
        let list = dana.get(GRANTS).await.expect(200);
        assert_eq!(ids(&list.json()), [CLI, portal.id.as_str()], "the newest first, and each once");
        assert_eq!((list.at("/data/0/name"), list.json()["data"][0]["scopes"].clone()), ("Strongroom CLI".into(), json!(["*"])));
        let shown = list.json()["data"][1].clone();
        assert_eq!((&shown["name"], &shown["homepage"]), (&json!("Portal"), &json!(homepage)));
        assert_eq!(shown["scopes"], json!(["openid", "email", "org:read"]));
        assert_eq!(shown["org_ids"], json!([id]), "the other only signs in");
        assert!(list.json()["data"][0].get("org_ids").is_none(), "our command line reaches all");
        assert!(shown["created_at"].is_string() && shown["expires_at"].is_string(), "{shown}");
        let erin = t.person("erin").await;
        let bound = super::decides(&browser(&t, &erin).await, &portal.asks(&[("scope", "org:read")]), "approve",
            &[("org", erin.personal_org.as_str())]).await;
        sent(&bound);
        let own = erin.get(&format!("/v1/orgs/{}", erin.personal_org)).await.expect(200).at("/id");
        assert_eq!(erin.get(GRANTS).await.expect(200).json()["data"][0]["org_ids"], json!([own]));
    }

    async fn an_application_that_is_stopped_has_nothing_any_more_and_asks_anew(t: TestApp) {
        let (dana, erin) = (t.person("dana").await, t.person("erin").await);
        let (portal, other) = (partner(&dana, json!({})).await, partner(&dana, json!({})).await);
        let (window, erins) = (browser(&t, &dana).await, browser(&t, &erin).await);
        let scope = "openid offline_access org:read";
        let lines = [portal.signs_in(&t, &window, scope).await, portal.signs_in(&t, &window, scope).await];
        let spared = [(&portal, portal.signs_in(&t, &erins, scope).await), (&other, other.signs_in(&t, &window, scope).await)];
        let code = portal.code(&window, &[("scope", scope)]).await;
        let path = format!("{GRANTS}/{}", portal.id);
        dana.delete(&path).await.expect(204).ok();
        let log = dana.get("/v1/auth/security-log").await.expect(200);
        let told = ["/data/0/action", "/data/0/metadata/client_id", "/data/0/metadata/grants"].map(|at| log.at(at));
        assert_eq!(told, ["oauth.grant_revoked", portal.id.as_str(), "3"]);
        for line in &lines {
            let access = t.anonymous().bearer(&line.at("/access_token"));
            access.get("/v1/orgs").await.problem(401, "unauthenticated");
            error(&access.get("/oauth/userinfo").await, 401, "invalid_token");
            error(&portal.renews(&t, &line.at("/refresh_token")).await, 400, "invalid_grant");
            for token in [line.at("/access_token"), line.at("/refresh_token")] {
                let told = portal.calls(&t, "/oauth/introspect", &[("token", token.as_str())]).await.expect(200);
                assert_eq!(told.json(), json!({ "active": false }));
            }
        }
        error(&portal.trades(&t, &code).await, 400, "invalid_grant");
        assert_eq!(window.get(&portal.asks(&[("scope", scope)])).await.status(), 200, "it asks anew");
        for (client, tokens) in &spared {
            t.anonymous().bearer(&tokens.at("/access_token")).get("/v1/orgs").await.expect(200).ok();
            client.renews(&t, &tokens.at("/refresh_token")).await.expect(200).ok();
        }
        assert_eq!(ids(&dana.get(GRANTS).await.expect(200).json()), std::slice::from_ref(&other.id));
        dana.delete(&path).await.problem(404, "not_found");
    }

    async fn our_command_line_is_stopped_by_its_name_on_every_device(t: TestApp) {
        let dana = t.person("dana").await;
        let (one, two) = (approved(&t, &dana).await, approved(&t, &dana).await);
        let tokens = look(&t, &one).await.expect(200);
        dana.delete(&format!("{GRANTS}/{CLI}")).await.expect(204).ok();
        t.anonymous().bearer(&tokens.at("/access_token")).get("/v1/auth/me").await.problem(401, "unauthenticated");
        error(&look(&t, &two).await, 400, "invalid_grant");
        dana.delete(&format!("{GRANTS}/cli_00000000000000000000000000")).await.problem(404, "not_found");
    }

    async fn nobody_stops_the_applications_of_others_and_no_token_does(t: TestApp) {
        let (dana, erin) = (t.person("dana").await, t.person("erin").await);
        let portal = partner(&erin, json!({})).await;
        let tokens = portal.signs_in(&t, &browser(&t, &dana).await, "openid offline_access org:read").await;
        let access = t.anonymous().bearer(&tokens.at("/access_token"));
        let path = format!("{GRANTS}/{}", portal.id);
        assert_eq!(erin.get(GRANTS).await.expect(200).at("/pagination/total"), "0", "also not of one's own client");
        erin.delete(&path).await.problem(404, "not_found");
        dana.delete(&format!("{GRANTS}/nothing")).await.problem(404, "not_found");
        for client in [&access, &dana.token(json!({ "name": "ci" })).await] {
            client.get(GRANTS).await.problem(403, "session_required");
            client.delete(&path).await.problem(403, "session_required");
        }
        access.get("/v1/orgs").await.expect(200).ok();
    }

    // What is ended does not come back by a trade that was under way.
    async fn an_application_that_is_stopped_while_it_renews_has_nothing(t: TestApp) {
        let dana = t.person("dana").await;
        let portal = partner(&dana, json!({})).await;
        let (window, path) = (browser(&t, &dana).await, format!("{GRANTS}/{}", portal.id));
        for round in 0..8 {
            let code = portal.code(&window, &[("scope", "offline_access org:read")]).await;
            let tokens = portal.signs_in(&t, &window, "offline_access org:read").await;
            let refresh = tokens.at("/refresh_token");
            let (renewed, traded, stopped) = tokio::join!(portal.renews(&t, &refresh), portal.trades(&t, &code), dana.delete(&path));
            stopped.expect(204).ok();
            for answer in [&renewed, &traded] {
                if answer.status() == 200 {
                    let access = t.anonymous().bearer(&answer.at("/access_token"));
                    assert_eq!(access.get("/v1/orgs").await.status(), 401, "round {round}");
                    error(&portal.renews(&t, &answer.at("/refresh_token")).await, 400, "invalid_grant");
                }
            }
            assert_eq!(dana.get(GRANTS).await.expect(200).at("/pagination/total"), "0", "round {round}");
        }
    }
}
