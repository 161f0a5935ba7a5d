//! `/v1/authorize`: what a token that was shown is good for now.

use harness::people::PASSWORD;
use harness::{Authenticator, on_both};
use serde_json::json;

use super::{allowed, asks, realm, refused, says, signs_in, user};
use crate::oauth::{browser, partner};

on_both! {
    async fn a_role_that_is_taken_away_counts_at_once_whatever_the_token_says(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let id = user(&acme, "jane@acme.co", "editor").await;
        let token = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/access_token");
        let owner = acme.owner.client();
        let yes = asks(owner, &token, "comments:write").await;
        assert_eq!(says(&yes), allowed("role"));
        assert_eq!((yes.at("/subject/type"), yes.at("/subject/id")), ("realm_user".into(), id.clone()));
        assert_eq!((yes.at("/subject/email"), yes.at("/matched/name")), ("jane@acme.co".into(), "editor".into()));
        assert!(yes.at("/matched/id").starts_with("rol_"));
        for (permission, expected) in [
            ("comments:delete", allowed("role")),
            ("projects:read", allowed("role")),
            ("projects:write", refused("no_grant")),
            ("comments", refused("no_grant")),
            ("comments:write:own", refused("no_grant")),
            ("secrets:read", refused("no_grant")),
            ("*", refused("no_grant")),
        ] {
            assert_eq!(says(&asks(owner, &token, permission).await), expected, "{permission}");
        }
        let roles = acme.path(&format!("/users/{id}/roles"));
        acme.owner.post(&roles, json!({ "role": "reader" })).await.expect(201).ok();
        acme.owner.delete(&format!("{roles}/editor")).await.expect(204).ok();
        let no = asks(owner, &token, "comments:write").await;
        assert_eq!((says(&no), no.at("/matched")), (refused("no_grant"), String::new()));
        let read = asks(owner, &token, "comments:read").await;
        assert_eq!((says(&read), read.at("/matched/name")), (allowed("role"), "reader".into()));
        let path = acme.path("/roles/reader");
        acme.owner.patch(&path, json!({ "permissions": ["news:read"] })).await.expect(200).ok();
        assert_eq!(says(&asks(owner, &token, "comments:read").await), refused("no_grant"));
        assert_eq!(says(&asks(owner, &token, "news:read").await), allowed("role"));
    }

    async fn whoever_may_not_know_of_the_organisation_is_told_of_no_token(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let token = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/access_token");
        let stranger = t.person("eve").await;
        let globex = realm(&t, "globex").await;
        let made = globex.owner.post(&globex.path("/service-accounts"), json!({ "name": "robot" })).await.expect(201);
        let elsewhere = acme.owner.token(json!({ "name": "x", "org": acme.owner.personal_org })).await;
        let nothing = asks(stranger.client(), "nonsense", "comments:write").await.text();
        for client in [stranger.client(), globex.owner.client(), &t.anonymous().api_key(&made.at("/key")), &elsewhere] {
            assert_eq!(asks(client, &token, "comments:write").await.text(), nothing);
        }
        let viewer = acme.member("vera", "viewer").await;
        let made = acme.owner.post(&acme.path("/service-accounts"), json!({ "name": "robot" })).await.expect(201);
        for client in [viewer.client(), &t.anonymous().api_key(&made.at("/key"))] {
            assert_eq!(says(&asks(client, &token, "comments:write").await), allowed("role"));
        }
        let asked = json!({ "token": token, "permission": "comments:write" });
        t.anonymous().post("/v1/authorize", asked.clone()).await.problem(401, "unauthenticated");
        t.anonymous().bearer(&token).post("/v1/authorize", asked).await.problem(401, "unauthenticated");
    }

    async fn with_a_resource_the_platform_decides_as_for_a_request(t: TestApp) {
        let acme = t.org("acme").await;
        acme.project("web").await;
        let dana = acme.developer("dana").await;
        let token = dana.post("/v1/auth/tokens", json!({ "name": "ci" })).await.expect(201).at("/token");
        let narrow = json!({ "name": "ci", "scopes": ["secrets:read@dev"], "org": "acme" });
        let narrow = dana.post("/v1/auth/tokens", narrow).await.expect(201).at("/token");
        let placed = json!({ "name": "ci", "org": "acme", "patterns": ["web/staging"] });
        let placed = dana.post("/v1/auth/tokens", placed).await.expect(201).at("/token");
        let made = json!({ "name": "robot", "role": "viewer" });
        let robot = acme.owner.post(&acme.path("/service-accounts"), made).await.expect(201).at("/key");
        let subject = json!({ "type": "user", "id": dana.id.to_string() });
        let deny = json!({ "subject": subject, "pattern": "web/staging/NO", "permissions": ["secrets:read"], "effect": "deny" });
        acme.owner.post(&acme.path("/acl"), deny).await.expect(201).ok();
        let at = |environment: &str| json!({ "org": "acme", "project": "web", "environment": environment });
        let key = json!({ "org": "acme", "project": "web", "environment": "staging", "key": "NO" });
        for (token, permission, resource, expected) in [
            (&token, "secrets:read", at("staging"), allowed("role")),
            (&token, "secrets:read", at("production"), refused("no_grant")),
            (&token, "secrets:write", at("production"), allowed("role")),
            (&token, "secrets:read", key, refused("acl_deny")),
            (&token, "org:delete", json!({ "org": "acme" }), refused("no_grant")),
            (&token, "secrets:read", at("nowhere"), refused("no_grant")),
            (&narrow, "secrets:read", at("development"), allowed("role")),
            (&narrow, "secrets:write", at("development"), refused("insufficient_scope")),
            (&narrow, "org:read", json!({ "org": dana.personal_org }), refused("invalid_token")),
            (&placed, "secrets:read", at("development"), refused("token_pattern")),
            (&robot, "secrets:read", json!({ "project": "web", "environment": "development" }), allowed("role")),
            (&robot, "secrets:write", json!({ "project": "web", "environment": "development" }), refused("no_grant")),
        ] {
            let asked = json!({ "token": token, "permission": permission, "resource": resource });
            let answer = acme.owner.post("/v1/authorize", asked).await.expect(200);
            assert_eq!(says(&answer), expected, "{permission} {resource}");
            assert!(!answer.text().contains(token.as_str()), "{}", answer.text());
        }
        let own = json!({ "token": narrow, "permission": "org:read", "resource": { "org": dana.personal_org } });
        assert_eq!(says(&dana.post("/v1/authorize", own).await.expect(200)), refused("token_org"));
    }

    async fn a_credential_that_is_narrowed_by_scopes_asks_only_with_the_scope_for_it(t: TestApp) {
        let acme = realm(&t, "acme").await;
        user(&acme, "jane@acme.co", "editor").await;
        let token = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/access_token");
        let asked = json!({ "token": token, "permission": "comments:write" });
        let without = acme.owner.token(json!({ "name": "x", "scopes": ["org:read", "users:read"] })).await;
        for token in [asked.clone(), json!({ "token": "nonsense", "permission": "comments:write" })] {
            without.post("/v1/authorize", token).await.problem(403, "insufficient_scope");
        }
        let with = acme.owner.token(json!({ "name": "x", "scopes": ["access:read"] })).await;
        assert_eq!(says(&with.post("/v1/authorize", asked).await.expect(200)), allowed("role"));
    }

    async fn a_credential_that_is_bound_to_a_place_learns_of_no_other(t: TestApp) {
        let acme = realm(&t, "acme").await;
        acme.project("web").await;
        acme.project("hidden").await;
        user(&acme, "jane@acme.co", "editor").await;
        let jane = signs_in(&t, &acme, "jane@acme.co", PASSWORD).await.expect(200).at("/access_token");
        let owner = &acme.owner;
        let wide = owner.post("/v1/auth/tokens", json!({ "name": "wide" })).await.expect(201).at("/token");
        let bound = json!({ "name": "bound", "org": "acme", "patterns": ["web/staging"] });
        let bound = owner.post("/v1/auth/tokens", bound).await.expect(201).at("/token");
        let robot = json!({ "name": "robot", "project": "web", "role": "viewer" });
        let robot = owner.post(&acme.path("/service-accounts"), robot).await.expect(201).at("/key");
        let by_token = t.anonymous().bearer(&bound);
        let by_robot = t.anonymous().api_key(&robot);
        let elsewhere = owner.token(json!({ "name": "elsewhere", "org": owner.personal_org })).await;
        let ask = async |by: &harness::Client, token: &str, resource: serde_json::Value| {
            let permission = if resource["environment"].is_null() { "projects:read" } else { "secrets:read" };
            let asked = json!({ "token": token, "permission": permission, "resource": resource });
            by.post("/v1/authorize", asked).await.expect(200)
        };
        let at = |project: &str, environment: &str| json!({ "org": "acme", "project": project, "environment": environment });
        let nothing = ask(&by_token, "nonsense", at("web", "staging")).await.text();
        // Its own place, and for the machine the whole of its project.
        assert_eq!(says(&ask(&by_token, &wide, at("web", "staging")).await), allowed("role"));
        assert_eq!(says(&ask(&by_robot, &wide, at("web", "production")).await), allowed("role"));
        assert_eq!(says(&ask(&by_robot, &wide, json!({ "org": "acme", "project": "web" })).await), allowed("role"));
        // Beyond it what is there is answered like what is not, also of a wider token of the same person.
        for (by, resource) in [
            (&by_token, at("web", "production")),
            (&by_token, at("web", "nowhere")),
            (&by_token, at("hidden", "staging")),
            (&by_token, at("absent", "staging")),
            (&by_token, json!({ "org": "acme", "project": "web" })),
            (&by_token, json!({ "org": owner.personal_org, "project": "web" })),
            (&by_robot, at("hidden", "production")),
            (&by_robot, at("absent", "production")),
            (&elsewhere, at("web", "staging")),
            (&elsewhere, at("absent", "staging")),
            (&elsewhere, json!({ "org": "nowhere", "project": "web" })),
        ] {
            assert_eq!(ask(by, &wide, resource.clone()).await.text(), nothing, "{resource}");
        }
        // Of itself it is told that it may not, whether there is such a place or not.
        for resource in [at("web", "production"), at("hidden", "staging"), at("absent", "staging"), json!({ "org": "nowhere", "project": "web" })] {
            assert_eq!(says(&ask(&by_token, &bound, resource.clone()).await), refused("no_grant"), "{resource}");
        }
        // The application's roles are of the whole organisation.
        for by in [&by_token, &by_robot, &elsewhere] {
            assert_eq!(asks(by, &jane, "comments:write").await.text(), nothing);
        }
        assert_eq!(says(&asks(owner.client(), &jane, "comments:write").await), allowed("role"));
    }

    async fn a_token_of_a_partners_application_is_asked_about_too(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let portal = partner(&acme.owner, json!({})).await;
        let window = browser(&t, &acme.owner).await;
        let token = portal.signs_in(&t, &window, "openid org:read").await.at("/access_token");
        let ask = async |permission: &str| {
            let asked = json!({ "token": token, "permission": permission, "resource": { "org": "acme" } });
            says(&acme.owner.post("/v1/authorize", asked).await.expect(200))
        };
        assert_eq!(ask("org:read").await, allowed("role"));
        assert_eq!(ask("org:update").await, refused("insufficient_scope"));
        let given_up = [("token", token.as_str())];
        portal.calls(&t, "/oauth/revoke", &given_up).await.expect(200).ok();
        assert_eq!(ask("org:read").await, refused("invalid_token"));
    }

    async fn people_of_the_organisation_hold_roles_of_the_application_too(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let dana = acme.member("dana", "viewer").await;
        let roles = acme.path(&format!("/members/{}/roles", dana.id));
        acme.owner.post(&roles, json!({ "role": "editor" })).await.expect(201).ok();
        let bound = json!({ "name": "app", "org": "acme" });
        let bound = dana.post("/v1/auth/tokens", bound).await.expect(201).at("/token");
        let answer = asks(acme.owner.client(), &bound, "comments:write").await;
        assert_eq!((says(&answer), answer.at("/subject/type")), (allowed("role"), "user".into()));
        let scoped = json!({ "name": "app", "org": "acme", "scopes": ["org:read"] });
        let scoped = dana.post("/v1/auth/tokens", scoped).await.expect(201).at("/token");
        assert_eq!(says(&asks(acme.owner.client(), &scoped, "comments:write").await), refused("insufficient_scope"));
        let wide = dana.post("/v1/auth/tokens", json!({ "name": "wide" })).await.expect(201).at("/token");
        let asked = json!({ "token": wide, "permission": "comments:write" });
        let unclear = acme.owner.post("/v1/authorize", asked).await.problem(422, "invalid_field");
        assert_eq!(unclear.at("/errors/0/field"), "resource");
    }

    async fn an_organisation_that_wants_a_second_factor_wants_it_here(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let dana = acme.developer("dana").await;
        let token = dana.post("/v1/auth/tokens", json!({ "name": "ci", "org": "acme" })).await.expect(201).at("/token");
        let made = acme.owner.post(&acme.path("/service-accounts"), json!({ "name": "robot" })).await.expect(201);
        let robot = t.anonymous().api_key(&made.at("/key"));
        t.sql("UPDATE orgs SET require_mfa = TRUE WHERE slug = 'acme'").await;
        let ask = async || {
            let asked = json!({ "token": token, "permission": "org:read", "resource": {} });
            says(&robot.post("/v1/authorize", asked).await.expect(200))
        };
        assert_eq!(ask().await, refused("second_factor_required"));
        Authenticator::enable(dana.client(), &t.clock).await;
        assert_eq!(ask().await, allowed("role"));
    }

    async fn what_is_no_question_is_refused_by_its_field(t: TestApp) {
        let acme = realm(&t, "acme").await;
        let good = json!({ "token": "x", "permission": "secrets:read", "resource": { "org": "acme", "project": "web", "environment": "production" } });
        acme.owner.post("/v1/authorize", good.clone()).await.expect(200).ok();
        for (pointer, value, field) in [
            ("/token", json!("x".repeat(9000)), "token"),
            ("/permission", json!(""), "permission"),
            ("/permission", json!("x".repeat(101)), "permission"),
            ("/permission", json!("comments:write"), "permission"),
            ("/permission", json!("org:read"), "resource.project"),
            ("/resource/project", json!(null), "resource.project"),
            ("/resource/environment", json!(null), "resource.environment"),
            ("/resource/org", json!("x".repeat(301)), "resource.org"),
        ] {
            let mut body = good.clone();
            *body.pointer_mut(pointer).expect("a field") = value;
            let refused = acme.owner.post("/v1/authorize", body).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field, "{}", refused.text());
        }
    }
}
