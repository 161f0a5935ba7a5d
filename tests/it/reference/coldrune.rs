//! Coldrune: signing in by mailed code, organisations and their people, access rules, service accounts, the audit log.

use harness::mailbox::{SIGN_IN, expect_code};
use harness::{Client, TestApp, on_both};
use serde_json::json;

use super::register;

const ORG: &str = "/v1/orgs/acme";
const PROJECT: &str = "/v1/orgs/acme/projects/web";

on_both! {
    async fn coldrune_as_its_users_know_it(t: TestApp) {
        let ada = sign_in(&t, "ada@example.com").await;
        let (alex, alex_id) = register(&t, "alex@example.com").await;
        let (mia, mia_id) = register(&t, "mia@example.com").await;
        organisation(&ada).await;
        members(&ada, &alex, &alex_id, &mia_id).await;
        projects(&ada, &alex).await;
        access_rules(&alex, &mia).await;
        service_accounts(&t, &alex).await;
        audit_log(&alex, &mia, &mia_id).await;
        ada.delete(ORG).await.expect(204).ok();
        for person in [&ada, &alex, &mia] {
            person.get(ORG).await.problem(404, "not_found");
        }
        ada.post("/v1/auth/logout", json!({})).await.expect(204).ok();
        ada.get("/v1/auth/me").await.problem(401, "unauthenticated");
    }
}

/// Somebody who signs in with a code that is mailed.
async fn sign_in(t: &TestApp, email: &str) -> Client {
    register(t, email).await;
    let anyone = t.anonymous();
    let begun = anyone
        .post("/v1/auth/code", json!({ "email": email }))
        .await
        .expect(200);
    let code = expect_code(t, email, SIGN_IN, 1).await;
    let body = json!({ "challenge_token": begun.at("/challenge_token"), "code": code, "transport": "bearer" });
    let session = anyone.post("/v1/auth/code/verify", body).await.expect(200);
    let person = anyone.bearer(&session.at("/access_token"));
    assert_eq!(person.get("/v1/auth/me").await.expect(200).at("/email"), email);
    person
}

/// The caller becomes the owner, and renames it.
async fn organisation(ada: &Client) {
    let made = ada.post("/v1/orgs", json!({ "name": "acme" })).await.expect(201);
    assert_eq!((made.at("/slug"), made.at("/role")), ("acme".into(), "owner".into()));
    let renamed = ada.patch(ORG, json!({ "name": "Acme Corporation" })).await.expect(200);
    assert_eq!(renamed.at("/name"), "Acme Corporation");
    assert!(
        ada.get("/v1/orgs")
            .await
            .expect(200)
            .text()
            .contains("Acme Corporation")
    );
}

/// Admins add and remove people; only owners change roles.
async fn members(ada: &Client, alex: &Client, alex_id: &str, mia_id: &str) {
    let members = format!("{ORG}/members");
    alex.get(ORG).await.problem(404, "not_found");
    let body = json!({ "email": "alex@example.com", "role": "admin" });
    ada.post(&members, body).await.expect(201).ok();
    let body = json!({ "email": "mia@example.com", "role": "developer" });
    alex.post(&members, body).await.expect(201).ok();
    assert_eq!(alex.get(&members).await.expect(200).at("/pagination/total"), "3");
    let mia = format!("{members}/{mia_id}");
    alex.patch(&mia, json!({ "role": "member" }))
        .await
        .problem(403, "forbidden");
    let changed = ada.patch(&mia, json!({ "role": "member" })).await.expect(200);
    assert_eq!(changed.at("/role"), "member");
    alex.patch(ORG, json!({ "name": "Alex's" }))
        .await
        .problem(403, "forbidden");
    let alex = format!("{members}/{alex_id}");
    ada.delete(&alex).await.expect(204).ok();
    let body = json!({ "user_id": alex_id, "role": "admin" });
    ada.post(&members, body).await.expect(201).ok();
}

/// A project comes with development, staging and production.
async fn projects(ada: &Client, alex: &Client) {
    let made = alex.post(&format!("{ORG}/projects"), json!({ "name": "web" })).await;
    let made = made.expect(201).json();
    let environments = made["environments"].as_array().expect("environments").iter();
    let mut slugs: Vec<_> = environments.filter_map(|env| env["slug"].as_str()).collect();
    slugs.sort_unstable();
    assert_eq!(slugs, ["development", "production", "staging"]);
    alex.patch(PROJECT, json!({ "name": "Web" })).await.expect(200).ok();
    let envs = format!("{PROJECT}/environments");
    let preview = json!({ "name": "preview", "class": "dev" });
    alex.post(&envs, preview).await.expect(201).ok();
    alex.delete(&format!("{envs}/preview")).await.expect(204).ok();
    let value = json!({ "value": "postgres://db.internal/acme" });
    for env in ["staging", "production"] {
        let path = format!("{envs}/{env}/secrets/DATABASE_URL");
        assert_eq!(ada.put(&path, value.clone()).await.expect(201).at("/version"), "1");
    }
}

/// A member reads nothing until a rule lets them, and what it lets them alone.
async fn access_rules(alex: &Client, mia: &Client) {
    let (rules, production) = (format!("{ORG}/acl"), format!("{PROJECT}/environments/production"));
    let secret = format!("{production}/secrets/DATABASE_URL");
    mia.get(&secret).await.problem(403, "forbidden");
    let rule = |permissions: &[&str]| {
        let subject = json!({ "type": "user", "email": "mia@example.com" });
        json!({ "subject": subject, "pattern": "web/production/DATABASE_*", "permissions": permissions })
    };
    let made = alex.post(&rules, rule(&["secrets:read"])).await.expect(201);
    assert_eq!(
        mia.get(&secret).await.expect(200).at("/value"),
        "postgres://db.internal/acme"
    );
    mia.put(&secret, json!({ "value": "mine" }))
        .await
        .problem(403, "forbidden");
    let same = alex
        .post(&rules, rule(&["secrets:read", "secrets:write"]))
        .await
        .expect(200);
    assert_eq!(same.at("/id"), made.at("/id"), "one rule for a subject and a pattern");
    mia.put(&secret, json!({ "value": "mine" })).await.expect(200).ok();
    mia.get(&format!("{PROJECT}/environments/staging/secrets/DATABASE_URL"))
        .await
        .problem(403, "forbidden");
    assert_eq!(alex.get(&rules).await.expect(200).at("/pagination/total"), "1");
    mia.get(&rules).await.problem(403, "forbidden");
    alex.delete(&format!("{rules}/{}", made.at("/id")))
        .await
        .expect(204)
        .ok();
    mia.get(&secret).await.problem(403, "forbidden");
}

/// A service account of one project, with its key shown once; its rules go with it.
async fn service_accounts(t: &TestApp, alex: &Client) {
    let accounts = format!("{ORG}/service-accounts");
    let body = json!({ "name": "deploy", "project": "web" });
    let made = alex.post(&accounts, body).await.expect(201);
    let robot = t.anonymous().api_key(&made.at("/key"));
    let secret = format!("{PROJECT}/environments/staging/secrets/DATABASE_URL");
    assert_ne!(robot.get(&secret).await.status(), 200);
    let subject = json!({ "type": "service_account", "id": made.at("/id") });
    let rule = json!({ "subject": subject, "pattern": "web/staging", "permissions": ["secrets:read"] });
    alex.post(&format!("{ORG}/acl"), rule).await.expect(201).ok();
    robot.get(&secret).await.expect(200).ok();
    let listed = alex.get(&accounts).await.expect(200);
    assert!(!listed.text().contains(&made.at("/key")), "the key is shown once");
    alex.delete(&format!("{accounts}/{}", made.at("/id")))
        .await
        .expect(204)
        .ok();
    robot.get(&secret).await.problem(401, "unauthenticated");
    let rules = alex.get(&format!("{ORG}/acl")).await.expect(200);
    assert_eq!(rules.at("/pagination/total"), "0");
}

/// Admins ask who did what; members do not.
async fn audit_log(alex: &Client, mia: &Client, mia_id: &str) {
    let log = format!("{ORG}/audit-logs");
    let asked = format!("{log}?action=secret.updated&actor_id={mia_id}&resource_type=secret&limit=1");
    let found = alex.get(&asked).await.expect(200);
    assert_eq!(
        (found.at("/pagination/total"), found.at("/data/0/actor/email")),
        ("1".into(), "mia@example.com".into())
    );
    mia.get(&log).await.problem(403, "forbidden");
}
