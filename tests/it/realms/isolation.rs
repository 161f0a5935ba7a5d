//! A realm and the platform have nothing to do with each other: users of realms are nobody here, and roles of an
//! application mean nothing here, whatever they are called.

use harness::people::PASSWORD;
use harness::{Backend, TestApp, on_both};
use serde_json::json;

use super::{asks, realm, refused, role, says, signs_in, user};

on_both! {
    async fn a_user_of_a_realm_opens_nothing_whatever_its_permissions_are_called(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let web = acme.project("web").await;
        let secret = web.env("development").secret("DB_URL");
        acme.owner.put(&secret, json!({ "value": "v" })).await.ok();
        let names: Vec<&str> = domain::access::Permission::ALL.iter().map(|permission| permission.as_str()).collect();
        role(&acme, "god", &names).await;
        user(&acme, "jane@acme.co", "god").await;
        let tokens = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200);
        for token in [tokens.at("/access_token"), tokens.at("/refresh_token")] {
            for client in [t.anonymous().bearer(&token), t.anonymous().api_key(&token), t.anonymous().cookie(&token)] {
                for path in ["/v1/orgs", "/v1/auth/me", &acme.path(""), &acme.path("/users"), &secret] {
                    client.get(path).await.problem(401, "unauthenticated");
                }
            }
            assert_eq!(t.anonymous().bearer(&token).get("/oauth/userinfo").await.status(), 401);
        }
        // Here the platform is asked, and there it is nobody's.
        for permission in ["secrets:read", "org:read", "org:delete"] {
            let mut resource = json!({ "org": "acme" });
            if permission == "secrets:read" {
                resource = json!({ "org": "acme", "project": "web", "environment": "development", "key": "DB_URL" });
            }
            let asked = json!({ "token": tokens.at("/access_token"), "permission": permission, "resource": resource });
            let answer = acme.owner.post("/v1/authorize", asked).await.expect(200);
            assert_eq!(says(&answer), refused("no_grant"), "{permission}");
            assert_eq!(asks(acme.owner.client(), &tokens.at("/access_token"), permission).await.at("/allowed"), "true");
        }
    }

    async fn a_user_of_a_realm_is_no_account(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let id = user(&acme, "jane@acme.co", "editor").await;
        let anyone = t.anonymous();
        let login = json!({ "email": "jane@acme.co", "password": PASSWORD });
        anyone.post("/v1/auth/login", login).await.problem(401, "invalid_credentials");
        let search = acme.owner.get("/v1/users/search?q=jane@acme.co").await.expect(200);
        assert_eq!(search.json()["data"], json!([]), "{}", search.text());
        for body in [json!({ "user_id": id, "role": "viewer" }), json!({ "email": "jane@acme.co", "role": "viewer" })] {
            acme.owner.post(&acme.path("/members"), body).await.problem(422, "invalid_field");
        }
        let rule = json!({ "subject": { "type": "user", "id": id }, "pattern": "*", "permissions": ["secrets:read"] });
        acme.owner.post(&acme.path("/acl"), rule).await.problem(422, "invalid_field");
        for path in [format!("/members/{id}"), format!("/members/{id}/roles/editor")] {
            acme.owner.delete(&acme.path(&path)).await.problem(404, "not_found");
        }
        let members = acme.owner.get(&acme.path("/members")).await.expect(200);
        assert_eq!(members.at("/pagination/total"), "1");
        // The address is free here.
        let body = json!({ "email": "jane@acme.co", "password": PASSWORD, "transport": "bearer" });
        let made = anyone.post("/v1/auth/register", body).await.expect(201);
        assert_ne!(made.at("/user/id"), id);
    }

    async fn an_account_of_the_platform_is_no_user_of_a_realm(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let dana = acme.member("dana", "admin").await;
        signs_in(&t, &acme, &dana.email, PASSWORD).await.problem(401, "invalid_credentials");
        dana.get(&acme.path(&format!("/users/{}", dana.id))).await.problem(404, "not_found");
        dana.patch(&acme.path(&format!("/users/{}", dana.id)), json!({ "status": "disabled" })).await.problem(404, "not_found");
    }

    async fn an_organisation_without_a_realm_answers_like_none(t: TestApp) {
        let plain = t.org("plain").await;
        let grants = [
            json!({ "grant_type": "password", "email": plain.owner.email, "password": PASSWORD }),
            json!({ "grant_type": "refresh_token", "refresh_token": "srm_rrt_x" }),
        ];
        for grant in grants {
            let mut answers = Vec::new();
            for org in ["plain", "nobody", &plain.id.to_string(), "org_01h455vb4pex5vsknk084sn02q"] {
                let answer = t.anonymous().post(&format!("/v1/orgs/{org}/tokens"), grant.clone()).await;
                let mut body = answer.problem(404, "not_found").json();
                body["request_id"] = json!(null);
                answers.push(body);
            }
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        }
    }

    async fn another_instances_token_is_none_here(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let elsewhere = TestApp::spawn(Backend::Sqlite).await;
        let theirs = realm(&elsewhere, "acme").await;
        user(&theirs, "jane@acme.co", "editor").await;
        let token = signs_in(&elsewhere, &theirs, "jane@acme.co", PASSWORD).await.expect(200).at("/access_token");
        assert_eq!(says(&asks(acme.owner.client(), &token, "comments:read").await), refused("invalid_token"));
        elsewhere.stop().await;
    }
}
