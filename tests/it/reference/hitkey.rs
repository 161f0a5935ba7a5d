//! hitkey: registration by code, several addresses, two-factor sign-in, joining and leaving, handing over.

use std::process::Command;

use harness::mailbox::expect_link;
use harness::{TestApp, on_both};
use serde_json::json;

use super::{PASSWORD, code, invitation, verified};

/// A code of an independent generator.
fn oathtool(t: &TestApp, secret: &str) -> String {
    let now = format!("@{}", t.clock.now().secs());
    let made = Command::new("oathtool").args(["--totp", "-b", "--now", &now, secret]).output().expect("run oathtool");
    String::from_utf8(made.stdout).expect("digits").trim().to_owned()
}

on_both! {
    async fn hitkey_registration(t: TestApp) {
        let start = t.anonymous().post("/v1/auth/register", json!({ "email": "dana@example.com" })).await.expect(202);
        let challenge = start.at("/challenge_token");
        let wrong = json!({ "challenge_token": challenge, "code": "000000" });
        assert!(matches!(t.anonymous().post("/v1/auth/register/verify", wrong).await.status(), 401 | 422));
        t.anonymous().post("/v1/auth/register/resend", json!({ "challenge_token": challenge })).await.ok();
        let digits = code(&t, "dana@example.com", 2).await;
        let verify = json!({ "challenge_token": challenge, "code": digits });
        let proved = t.anonymous().post("/v1/auth/register/verify", verify).await.expect(200);
        let body = json!({ "registration_token": proved.at("/registration_token"), "password": PASSWORD, "transport": "bearer" });
        let made = t.anonymous().post("/v1/auth/register/complete", body.clone()).await.expect(201);
        let dana = t.anonymous().bearer(&made.at("/access_token"));
        assert_eq!(dana.get("/v1/auth/me").await.expect(200).at("/email_verified"), "true");
        assert!(matches!(t.anonymous().post("/v1/auth/register/complete", body).await.status(), 401 | 422));
        let refreshed = t.anonymous().post("/v1/auth/token/refresh", json!({ "refresh_token": made.at("/refresh_token") })).await.expect(200);
        let dana = t.anonymous().bearer(&refreshed.at("/access_token"));
        dana.patch("/v1/auth/me", json!({ "first_name": "Dana", "username": "dana.d" })).await.expect(200).ok();
        let by_name = json!({ "email": "dana.d", "password": PASSWORD });
        t.anonymous().post("/v1/auth/login", by_name).await.expect(200).ok();
        t.anonymous().post("/v1/auth/password/forgot", json!({ "email": "dana@example.com" })).await.expect(200).ok();
        let link = expect_link(&t, "dana@example.com", 1).await;
        let reset = json!({ "token": link, "password": "quiet-heron-folds-nine-maps" });
        t.anonymous().post("/v1/auth/password/reset", reset).await.expect(204).ok();
        dana.get("/v1/auth/me").await.problem(401, "unauthenticated");
    }

    async fn hitkey_two_factor_sign_in(t: TestApp) {
        let dana = t.person("dana").await;
        let setup = dana.post("/v1/auth/2fa/setup", json!({})).await.expect(200);
        assert!(setup.at("/otpauth_uri").starts_with("otpauth://totp/") && setup.at("/qr_svg").contains("<svg"));
        let secret = setup.at("/secret");
        let enabled = dana.post("/v1/auth/2fa/enable", json!({ "code": oathtool(&t, &secret) })).await.expect(200);
        let recovery = enabled.json()["recovery_codes"].clone();
        assert_eq!(recovery.as_array().map(Vec::len), Some(10));
        let login = json!({ "email": "dana@example.com", "password": harness::people::PASSWORD, "transport": "bearer" });
        let asked = t.anonymous().post("/v1/auth/login", login).await.expect(200);
        assert_eq!((asked.at("/mfa_required"), asked.json()["access_token"].clone()), ("true".into(), json!(null)));
        let body = json!({ "challenge_token": asked.at("/challenge_token"), "code": recovery[0] });
        let session = t.anonymous().post("/v1/auth/2fa/verify", body).await.expect(200);
        let dana = t.anonymous().bearer(&session.at("/access_token"));
        assert_eq!(dana.get("/v1/auth/2fa").await.expect(200).at("/enabled"), "true");
        dana.post("/v1/auth/2fa/disable", json!({})).await.ok();
        assert_eq!(dana.get("/v1/auth/2fa").await.expect(200).at("/enabled"), "false");
    }

    async fn hitkey_emails(t: TestApp) {
        let dana = verified(&t, "dana@example.com").await;
        let added = dana.post("/v1/auth/emails", json!({ "email": "dana@work.example.com" })).await.expect(201);
        let id = added.at("/id");
        let path = format!("/v1/auth/emails/{id}");
        dana.patch(&path, json!({ "is_default": true })).await.problem(403, "email_unverified");
        dana.post(&format!("{path}/resend"), json!({})).await.ok();
        let digits = code(&t, "dana@work.example.com", 2).await;
        dana.post(&format!("{path}/verify"), json!({ "code": digits })).await.ok();
        dana.patch(&path, json!({ "is_default": true })).await.expect(200).ok();
        assert_eq!(dana.get("/v1/auth/me").await.at("/email"), "dana@work.example.com");
        let list = dana.get("/v1/auth/emails").await.expect(200).json();
        let old = list["data"].as_array().into_iter().flatten().find(|entry| entry["email"] == "dana@example.com").cloned();
        let old = old.expect("the first address")["id"].as_str().expect("an id").to_owned();
        dana.delete(&path).await.problem(409, "conflict");
        dana.delete(&format!("/v1/auth/emails/{old}")).await.expect(204).ok();
        let login = json!({ "email": "dana@example.com", "password": PASSWORD });
        t.anonymous().post("/v1/auth/login", login).await.problem(401, "invalid_credentials");
    }

    async fn hitkey_user_search(t: TestApp) {
        let acme = t.org("acme").await;
        let dana = acme.member("dana", "developer").await;
        t.person("stranger").await;
        let found = acme.owner.get("/v1/users/search?q=dan").await.expect(200);
        assert!(found.text().contains(&dana.email), "{}", found.text());
        let hidden = acme.owner.get("/v1/users/search?q=strang").await.expect(200);
        assert!(!hidden.text().contains("stranger"), "nobody is found by people who share nothing with them");
    }

    async fn hitkey_projects_and_members(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("app").await;
        let dana = acme.member("dana", "member").await;
        let closed = dana.post(&format!("{}/join", project.path), json!({})).await;
        assert!(matches!(closed.status(), 403 | 404), "{}", closed.text());
        acme.owner.patch(&project.path, json!({ "join_policy": "open" })).await.expect(200).ok();
        dana.post(&format!("{}/join", project.path), json!({})).await.ok();
        let members = format!("{}/members", project.path);
        let member = format!("{members}/{}", dana.id);
        acme.owner.patch(&member, json!({ "role": "developer" })).await.expect(200).ok();
        acme.owner.post(&format!("{}/transfer-ownership", project.path), json!({ "member": dana.id.to_string() })).await.ok();
        assert_eq!(dana.get(&project.path).await.expect(200).at("/role"), "owner");
        dana.post(&format!("{}/leave", project.path), json!({})).await.ok();
        let mine = acme.owner.post(&format!("{}/leave", project.path), json!({})).await;
        mine.problem(409, "conflict");
        acme.owner.post(&acme.path("/leave"), json!({})).await.problem(409, "last_owner");
        acme.owner.post(&acme.path("/transfer-ownership"), json!({ "member": dana.id.to_string() })).await.ok();
        assert_eq!(dana.get(&acme.path("")).await.expect(200).at("/role"), "owner");
        assert_eq!(acme.owner.get(&acme.path("")).await.expect(200).at("/role"), "admin");
        acme.owner.post(&acme.path("/leave"), json!({})).await.ok();
        acme.owner.get(&acme.path("")).await.problem(404, "not_found");
    }

    async fn hitkey_invites(t: TestApp) {
        let acme = t.org("acme").await;
        let project = acme.project("app").await;
        acme.owner.post(&format!("{}/invites", project.path), json!({ "email": "new@example.com", "role": "developer" })).await.expect(201).ok();
        let token = invitation(&t, "new@example.com", 1).await;
        assert_eq!(t.anonymous().get(&format!("/v1/invites/{token}")).await.expect(200).at("/status"), "pending");
        let body = json!({ "email": "new@example.com", "password": PASSWORD, "invite_token": token, "transport": "bearer" });
        let made = t.anonymous().post("/v1/auth/register", body).await.expect(201);
        let new = t.anonymous().bearer(&made.at("/access_token"));
        assert_eq!(new.get(&project.path).await.expect(200).at("/role"), "developer");
        assert_eq!(new.get("/v1/auth/me").await.at("/email_verified"), "true");
    }
}
