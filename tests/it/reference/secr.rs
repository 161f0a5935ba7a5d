//! secr: accounts with a personal organisation, members by invitation, four roles over three classes of environments.

use harness::mailbox::expect_link;
use harness::on_both;
use serde_json::json;

use super::{PASSWORD, invitation, register};

on_both! {
    async fn secr_authentication(t: TestApp) {
        let body = json!({ "email": "dana@example.com", "password": PASSWORD });
        let made = t.anonymous().post("/v1/auth/register", body).await.expect(201);
        assert_eq!(made.at("/org/slug"), "dana", "account and personal organisation");
        let cookie = made.header("set-cookie").expect("a session cookie").split(['=', ';']).nth(1).expect("a value").to_owned();
        let browser = t.anonymous().cookie(&cookie);
        assert_eq!(browser.get("/v1/auth/me").await.expect(200).at("/orgs/0/role"), "owner");
        browser.post("/v1/auth/email/send-verification", json!({})).await.problem(403, "csrf_failed");
        let browser = browser.with("X-Requested-With", "strongroom");
        let link = expect_link(&t, "dana@example.com", 1).await;
        t.anonymous().post("/v1/auth/email/verify", json!({ "token": link })).await.expect(204).ok();
        let token = browser.post("/v1/auth/tokens", json!({ "name": "cli", "scopes": ["secrets:read"] })).await.expect(201);
        assert_eq!(browser.get("/v1/auth/tokens").await.at("/data/0/id"), token.at("/id"));
        browser.delete(&format!("/v1/auth/tokens/{}", token.at("/id"))).await.expect(204).ok();
        for email in ["dana@example.com", "nobody@example.com"] {
            t.anonymous().post("/v1/auth/password/forgot", json!({ "email": email })).await.expect(200).ok();
        }
        let reset = expect_link(&t, "dana@example.com", 2).await;
        let body = json!({ "token": reset, "password": "quiet-heron-folds-nine-maps" });
        t.anonymous().post("/v1/auth/password/reset", body.clone()).await.expect(204).ok();
        t.anonymous().post("/v1/auth/password/reset", body).await.problem(422, "invalid_field");
        browser.get("/v1/auth/me").await.problem(401, "unauthenticated");
        let login = json!({ "email": "dana@example.com", "password": "quiet-heron-folds-nine-maps", "transport": "bearer" });
        let session = t.anonymous().post("/v1/auth/login", login).await.expect(200);
        let dana = t.anonymous().bearer(&session.at("/access_token"));
        let change = json!({ "current_password": "quiet-heron-folds-nine-maps", "new_password": PASSWORD });
        dana.post("/v1/auth/password", change).await.expect(204).ok();
        dana.post("/v1/auth/logout", json!({})).await.expect(204).ok();
    }

    async fn secr_members(t: TestApp) {
        let acme = t.org("acme").await;
        let invites = acme.path("/invites");
        acme.owner.post(&invites, json!({ "email": "dev@example.com", "role": "developer" })).await.expect(201).ok();
        let members = acme.path("/members");
        let list = acme.owner.get(&members).await.expect(200).json();
        let pending = list["data"].as_array().into_iter().flatten().find(|entry| entry["status"] == "pending").cloned();
        assert_eq!(pending.expect("members and pending invites")["email"], "dev@example.com");
        let dev = register(&t, "dev@example.com").await;
        let token = invitation(&t, "dev@example.com", 1).await;
        dev.post(&format!("/v1/invites/{token}/accept"), json!({})).await.expect(200).ok();
        let id = dev.get("/v1/auth/me").await.at("/id");
        dev.delete(&format!("{members}/{id}")).await.problem(403, "forbidden");
        acme.owner.patch(&format!("{members}/{id}"), json!({ "role": "viewer" })).await.expect(200).ok();
        let admin = acme.member("boss", "admin").await;
        admin.patch(&format!("{members}/{id}"), json!({ "role": "developer" })).await.problem(403, "forbidden");
        admin.delete(&format!("{members}/{id}")).await.expect(204).ok();
        dev.get(&acme.path("")).await.problem(404, "not_found");
    }

    async fn secr_roles_and_permissions(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("my-proj").await;
        let people = [
            ("owner", acme.owner.client().clone()),
            ("admin", acme.member("admin", "admin").await.client().clone()),
            ("developer", acme.member("developer", "developer").await.client().clone()),
            ("viewer", acme.member("viewer", "viewer").await.client().clone()),
        ];
        for env in ["development", "staging", "production"] {
            acme.owner.put(&project.env(env).secret("A"), json!({ "value": env })).await.expect(201).ok();
        }
        for (role, client) in &people {
            let read = |env: &'static str| async move { client.get(&project.env(env).secret("A")).await.status() == 200 };
            let reads = (read("development").await, read("staging").await, read("production").await);
            let wanted = match *role {
                "owner" | "admin" => (true, true, true),
                "developer" => (true, true, false),
                _ => (true, false, false),
            };
            assert_eq!(reads, wanted, "{role} reads");
            let wrote = client.put(&project.env("production").secret(&format!("BY_{}", role.to_uppercase())), json!({ "value": "v" })).await;
            assert_eq!(wrote.status() == 201, *role != "viewer", "{role} writes");
            let manages = client.get(&acme.path("/acl")).await.status() == 200;
            assert_eq!(manages, matches!(*role, "owner" | "admin"), "{role} manages");
            let audits = client.get(&acme.path("/audit-logs")).await.status() == 200;
            assert_eq!(audits, matches!(*role, "owner" | "admin"), "{role} audits");
        }
        for (role, client) in people.iter().rev().filter(|(role, _)| *role != "owner") {
            client.delete(&project.path).await.problem(403, "forbidden");
            assert_ne!(*role, "owner");
        }
        acme.owner.delete(&project.path).await.expect(204).ok();
    }

    async fn secr_secrets(t: TestApp) {
        let acme = t.org("my-org").await;
        let project = acme.project("my-proj").await;
        let env = project.env("development");
        acme.owner.put(&env.secret("DB_URL"), json!({ "value": "postgres://one" })).await.expect(201).ok();
        let bulk = json!({ "secrets": { "DB_URL": "postgres://two", "DB_POOL": "10", "API_KEY": "k" } });
        acme.owner.post(&format!("{}/bulk", env.0), bulk).await.expect(200).ok();
        assert_eq!(acme.owner.get(&format!("{}/versions", env.secret("DB_URL"))).await.at("/pagination/total"), "2");
        let keys = acme.owner.get(&format!("{}?search=DB_&limit=20", env.keys())).await.expect(200);
        assert_eq!((keys.at("/pagination/total"), keys.at("/data/0/key")), ("2".into(), "DB_POOL".into()));
        let page = acme.owner.get(&format!("{}?limit=1&offset=1", env.secrets())).await.expect(200);
        assert_eq!((page.at("/pagination/limit"), page.at("/pagination/offset"), page.at("/pagination/total")), ("1".into(), "1".into(), "3".into()));
        assert_eq!(acme.owner.get(&env.secrets()).await.json()["pagination"], json!(null), "no limit: all of them");
        let promote = json!({ "from": "development", "to": "staging" });
        acme.owner.post(&format!("{}/promote", project.path), promote).await.expect(200).ok();
        assert_eq!(acme.owner.get(&project.env("staging").secret("DB_URL")).await.at("/value"), "postgres://two");
        acme.owner.post(&format!("{}/bulk-delete", env.0), json!({ "keys": ["DB_URL", "DB_POOL"] })).await.expect(200).ok();
        acme.owner.delete(&env.secret("API_KEY")).await.expect(200).ok();
        assert_eq!(acme.owner.get(&env.keys()).await.json()["data"], json!([]));
    }
}
