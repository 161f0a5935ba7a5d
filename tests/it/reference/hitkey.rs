//! `HitKey`: registering by code, profile, second factor, several addresses, finding people, projects that are joined,
//! left and handed over.

use harness::mailbox::{REGISTER, RESET, VERIFY, expect_code, expect_token};
use harness::people::PASSWORD;
use harness::{Answer, Authenticator, Client, TestApp, on_both};
use serde_json::json;

use super::register;

const NEW: &str = "another horse, another battery";
const PROJECT: &str = "/v1/orgs/hitkey/projects/portal";

on_both! {
    async fn hitkey_as_its_users_know_it(t: TestApp) {
        resend(&t).await;
        let (dana, dana_id) = register(&t, "dana@example.com").await;
        let (erin, erin_id) = register(&t, "erin@example.com").await;
        profile(&dana).await;
        let dana = tokens(&t).await;
        addresses(&t, &dana).await;
        second_factor(&t, &dana).await;
        projects(&dana, &erin, &erin_id).await;
        hand_over(&dana, &erin, [&dana_id, &erin_id]).await;
        forgotten_password(&t).await;
    }
}

async fn login(t: &TestApp, password: &str) -> Answer {
    let body = json!({ "email": "dana@example.com", "password": password, "transport": "bearer" });
    t.anonymous().post("/v1/auth/login", body).await.expect(200)
}

/// A code that did not arrive is sent again.
async fn resend(t: &TestApp) {
    let anyone = t.anonymous();
    let late = json!({ "email": "late@example.com" });
    let begun = anyone.post("/v1/auth/register", late).await.expect(202);
    expect_code(t, "late@example.com", REGISTER, 1).await;
    let again = json!({ "challenge_token": begun.at("/challenge_token") });
    let again = anyone.post("/v1/auth/register/resend", again).await.expect(202);
    let code = expect_code(t, "late@example.com", REGISTER, 2).await;
    let proof = json!({ "challenge_token": again.at("/challenge_token"), "code": code });
    anyone.post("/v1/auth/register/verify", proof).await.expect(200).ok();
}

async fn profile(dana: &Client) {
    let names = json!({ "first_name": "Dana", "last_name": "Scully", "username": "dana" });
    dana.patch("/v1/auth/me", names).await.expect(200).ok();
    let me = dana.get("/v1/auth/me").await.expect(200);
    let shown = ["first_name", "last_name", "username", "email"].map(|name| me.at(&format!("/{name}")));
    assert_eq!(shown, ["Dana", "Scully", "dana", "dana@example.com"]);
}

/// Signs in, prolongs the session, signs out, and in again.
async fn tokens(t: &TestApp) -> Client {
    let session = login(t, PASSWORD).await;
    let refresh = json!({ "refresh_token": session.at("/refresh_token") });
    let traded = t.anonymous().post("/v1/auth/token/refresh", refresh).await.expect(200);
    let dana = t.anonymous().bearer(&traded.at("/access_token"));
    dana.post("/v1/auth/logout", json!({})).await.expect(204).ok();
    dana.get("/v1/auth/me").await.problem(401, "unauthenticated");
    t.anonymous().bearer(&login(t, PASSWORD).await.at("/access_token"))
}

async fn addresses(t: &TestApp, dana: &Client) {
    let emails = "/v1/auth/emails";
    let second = "dana@example.org";
    let added = dana.post(emails, json!({ "email": second })).await.expect(201);
    let id = format!("{emails}/{}", added.at("/id"));
    expect_code(t, second, VERIFY, 1).await;
    dana.post(&format!("{id}/resend"), json!({})).await.expect(204).ok();
    let code = json!({ "code": expect_code(t, second, VERIFY, 2).await });
    dana.post(&format!("{id}/verify"), code).await.expect(204).ok();
    dana.patch(&id, json!({ "is_default": true })).await.expect(200).ok();
    let listed = dana.get(emails).await.expect(200);
    assert_eq!(
        (listed.at("/data/0/email"), listed.at("/pagination/total")),
        (second.into(), "2".into())
    );
    let first = format!("{emails}/{}", listed.at("/data/1/id"));
    dana.patch(&first, json!({ "is_default": true })).await.expect(200).ok();
    dana.delete(&id).await.expect(204).ok();
}

async fn second_factor(t: &TestApp, dana: &Client) {
    let (app, _) = Authenticator::enable(dana, &t.clock).await;
    let waiting = login(t, PASSWORD).await;
    assert_eq!(waiting.at("/mfa_required"), "true");
    let code = json!({ "challenge_token": waiting.at("/challenge_token"), "code": app.next_code() });
    let session = t.anonymous().post("/v1/auth/2fa/verify", code).await.expect(200);
    t.anonymous()
        .bearer(&session.at("/access_token"))
        .get("/v1/auth/me")
        .await
        .expect(200)
        .ok();
    dana.post("/v1/auth/2fa/disable", json!({})).await.expect(204).ok();
    assert_eq!(login(t, PASSWORD).await.at("/mfa_required"), "false");
}

/// People are found, added, changed, removed; who is of the organisation joins what is open, and leaves it.
async fn projects(dana: &Client, erin: &Client, erin_id: &str) {
    dana.post("/v1/orgs", json!({ "name": "HitKey", "slug": "hitkey" }))
        .await
        .expect(201)
        .ok();
    let made = dana.post("/v1/orgs/hitkey/projects", json!({ "name": "Portal" })).await;
    assert_eq!(made.expect(201).at("/slug"), "portal");
    dana.patch(PROJECT, json!({ "description": "For partners" }))
        .await
        .expect(200)
        .ok();
    let found = dana.get("/v1/users/search?q=erin@example.com").await.expect(200);
    assert_eq!(found.at("/data/0/id"), erin_id);
    let members = format!("{PROJECT}/members");
    let body = json!({ "user_id": erin_id, "role": "viewer" });
    dana.post(&members, body).await.expect(201).ok();
    erin.get(PROJECT).await.expect(200).ok();
    let member = format!("{members}/{erin_id}");
    let changed = dana.patch(&member, json!({ "role": "developer" })).await.expect(200);
    assert_eq!(changed.at("/role"), "developer");
    dana.delete(&member).await.expect(204).ok();
    erin.get(PROJECT).await.problem(404, "not_found");
    let join = format!("{PROJECT}/join");
    erin.post(&join, json!({})).await.problem(404, "not_found");
    let body = json!({ "email": "erin@example.com", "role": "member" });
    dana.post("/v1/orgs/hitkey/members", body).await.expect(201).ok();
    erin.post(&join, json!({})).await.problem(403, "forbidden");
    dana.patch(PROJECT, json!({ "join_policy": "open" }))
        .await
        .expect(200)
        .ok();
    erin.post(&join, json!({})).await.expect(201).ok();
    erin.post(&format!("{PROJECT}/leave"), json!({})).await.expect(204).ok();
    erin.post(&join, json!({})).await.expect(201).ok();
}

/// The project to somebody who is in it, then the organisation.
async fn hand_over(dana: &Client, erin: &Client, [dana_id, erin_id]: [&str; 2]) {
    let heir = |id: &str| json!({ "member": id });
    let path = format!("{PROJECT}/transfer-ownership");
    dana.post(&path, heir(erin_id)).await.expect(200).ok();
    assert_eq!(erin.get(PROJECT).await.expect(200).at("/role"), "owner");
    let path = "/v1/orgs/hitkey/transfer-ownership";
    dana.post(path, heir(erin_id)).await.expect(200).ok();
    dana.delete(PROJECT).await.problem(403, "forbidden");
    erin.post(path, heir(dana_id)).await.expect(200).ok();
    dana.delete(PROJECT).await.expect(204).ok();
}

async fn forgotten_password(t: &TestApp) {
    let anyone = t.anonymous();
    let forgot = json!({ "email": "dana@example.com" });
    anyone.post("/v1/auth/password/forgot", forgot).await.expect(200).ok();
    let token = expect_token(t, "dana@example.com", RESET, 1).await;
    let reset = json!({ "token": token, "password": NEW });
    anyone.post("/v1/auth/password/reset", reset).await.expect(204).ok();
    login(t, NEW).await.ok();
}
