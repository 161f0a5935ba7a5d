//! Accepting without an account: the token of the mail makes one, and no other token does.

use harness::app::Options;
use harness::mailbox::{INVITE, VERIFY, expect_token, letters};
use harness::people::PASSWORD;
use harness::{Answer, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::{accept, invite, look, refused_field, uses, verified};

const ACME: &str = "/v1/orgs/acme";

/// Accepts with the password of a new account.
async fn come(t: &TestApp, token: &str, body: Value) -> Answer {
    t.anonymous().post(&format!("/v1/invites/{token}/accept"), body).await
}

async fn register(t: &TestApp, email: &str, token: &str) -> Answer {
    let body = json!({ "email": email, "password": PASSWORD, "transport": "bearer", "invite_token": token });
    t.anonymous().post("/v1/auth/register", body).await
}

async fn accounts(t: &TestApp) -> i64 {
    t.number("SELECT COUNT(*) FROM users").await
}

on_both! {
    async fn the_mailed_token_makes_an_account_that_is_verified_signed_in_and_a_member(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let made = invite(&acme.owner, &web.path, json!({ "email": "Dana@Example.com", "role": "viewer" })).await.expect(201);
        let token = expect_token(&t, "Dana@Example.com", INVITE, 1).await;
        let body = json!({ "password": PASSWORD, "first_name": "Dana", "last_name": "Scully", "transport": "bearer" });
        let joined = come(&t, &token, body).await.expect(201);
        assert_eq!((joined.at("/accepted"), joined.at("/created_account")), ("true".into(), "true".into()));
        assert_eq!((joined.at("/org/slug"), joined.at("/project/slug")), ("acme".into(), "web".into()));
        assert_eq!((joined.at("/user/email"), joined.at("/user/email_verified")), ("Dana@Example.com".into(), "true".into()));
        assert_eq!((joined.at("/user/first_name"), joined.at("/user/has_password")), ("Dana".into(), "true".into()));
        assert_eq!((joined.at("/token_type"), joined.at("/personal_org/slug")), ("Bearer".into(), "dana".into()));
        let dana = t.anonymous().bearer(&joined.at("/access_token"));
        assert_eq!(dana.get(&web.path).await.expect(200).at("/role"), "viewer");
        assert_eq!(dana.get("/v1/orgs/dana").await.expect(200).at("/role"), "owner");
        let login = json!({ "email": "dana@example.com", "password": PASSWORD });
        t.anonymous().post("/v1/auth/login", login).await.expect(200).ok();
        assert!(letters(&t, "Dana@Example.com", VERIFY).is_empty(), "there is nothing to verify");
        let event = acme.owner.get("/v1/orgs/acme/audit-logs?action=invite.accepted").await.expect(200);
        assert_eq!((event.at("/data/0/resource_id"), event.at("/data/0/actor/id")), (made.at("/id"), joined.at("/user/id")));
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'user.registered'").await, 2);
        come(&t, &token, json!({ "password": PASSWORD })).await.problem(409, "invite_unusable");
        assert_eq!((accounts(&t).await, uses(&t).await), (2, 1));
    }

    async fn a_browser_gets_a_cookie(t: TestApp) {
        let acme = t.org("acme").await;
        invite(&acme.owner, ACME, json!({ "email": "dana@example.com" })).await.expect(201).ok();
        let token = expect_token(&t, "dana@example.com", INVITE, 1).await;
        let joined = come(&t, &token, json!({ "password": PASSWORD })).await.expect(201);
        let cookie = joined.header("set-cookie").unwrap_or_default().to_owned();
        assert!(cookie.starts_with("strongroom=srm_ses_") && cookie.contains("; HttpOnly"), "{cookie}");
        assert!(joined.json().get("access_token").is_none());
    }

    async fn the_token_that_was_shown_makes_no_account(t: TestApp) {
        let acme = t.org("acme").await;
        let made = invite(&acme.owner, ACME, json!({ "email": "dana@example.com" })).await.expect(201);
        let link = invite(&acme.owner, ACME, json!({})).await.expect(201);
        for token in [made.at("/token"), link.at("/token")] {
            come(&t, &token, json!({ "password": PASSWORD })).await.problem(401, "unauthenticated");
        }
        assert_eq!((accounts(&t).await, uses(&t).await), (1, 0));
    }

    async fn whoever_has_an_account_signs_in_first(t: TestApp) {
        let acme = t.org("acme").await;
        let (dana, erin) = (verified(&t, "dana").await, t.person("erin").await);
        for person in [&dana, &erin] {
            let made = invite(&acme.owner, ACME, json!({ "email": person.email })).await.expect(201);
            let mailed = expect_token(&t, &person.email, INVITE, 1).await;
            for token in [&made.at("/token"), &mailed] {
                come(&t, token, json!({ "password": "another horse, another battery" })).await.problem(401, "unauthenticated");
                let refused = register(&t, &person.email, token).await;
                refused.problem(409, "email_taken");
            }
            accept(person, &mailed).await.expect(201).ok();
        }
        assert_eq!(accounts(&t).await, 3);
    }

    async fn a_bad_password_is_refused_by_name_and_uses_nothing(t: TestApp) {
        let acme = t.org("acme").await;
        invite(&acme.owner, ACME, json!({ "email": "dana@example.com" })).await.expect(201).ok();
        let token = expect_token(&t, "dana@example.com", INVITE, 1).await;
        refused_field(come(&t, &token, json!({})).await, "password");
        refused_field(accept(&t.anonymous(), &token).await, "password");
        refused_field(come(&t, &token, json!({ "password": "dana@example.com" })).await, "password");
        let long = json!({ "password": PASSWORD, "first_name": "x".repeat(101) });
        refused_field(come(&t, &token, long).await, "first_name");
        refused_field(come(&t, &token, json!({ "password": PASSWORD, "email": "eve@example.com" })).await, "email");
        let bare = t.anonymous().send(reqwest::Method::POST, &format!("/v1/invites/{token}/accept"), None).await;
        refused_field(bare, "password");
        assert_eq!((accounts(&t).await, uses(&t).await), (1, 0));
        come(&t, &token, json!({ "password": PASSWORD })).await.expect(201).ok();
    }

    async fn of_two_newcomers_of_one_mail_one_comes_in(t: TestApp) {
        let acme = t.org("acme").await;
        invite(&acme.owner, ACME, json!({ "email": "dana@example.com" })).await.expect(201).ok();
        let token = expect_token(&t, "dana@example.com", INVITE, 1).await;
        let body = json!({ "password": PASSWORD });
        let (one, two) = tokio::join!(come(&t, &token, body.clone()), come(&t, &token, body));
        let mut statuses = [one.status(), two.status()];
        statuses.sort_unstable();
        assert!(matches!(statuses, [201, 401 | 409]), "{statuses:?}");
        assert_eq!((accounts(&t).await, uses(&t).await), (2, 1));
    }

    async fn registering_with_a_mailed_token_joins_at_once(t: TestApp) {
        let acme = t.org("acme").await;
        let made = invite(&acme.owner, ACME, json!({ "email": "dana@example.com", "role": "viewer" })).await.expect(201);
        let token = expect_token(&t, "dana@example.com", INVITE, 1).await;
        refused_field(register(&t, "eve@example.com", &token).await, "email");
        refused_field(register(&t, "dana@example.com", "srm_inv_nonsense").await, "invite_token");
        let without = json!({ "email": "dana@example.com", "invite_token": token });
        refused_field(t.anonymous().post("/v1/auth/register", without).await, "password");
        assert_eq!((accounts(&t).await, uses(&t).await), (1, 0));
        let dana = register(&t, "DANA@example.com", &token).await.expect(201);
        assert_eq!((dana.at("/user/email_verified"), dana.at("/org/slug")), ("true".into(), "dana".into()));
        let client = t.anonymous().bearer(&dana.at("/access_token"));
        assert_eq!(client.get(ACME).await.expect(200).at("/role"), "viewer");
        assert_eq!(look(&t, &made.at("/token")).await.at("/status"), "accepted");
        register(&t, "frida@example.com", &token).await.problem(409, "invite_unusable");
    }

    async fn registering_with_any_other_token_accepts_once_the_address_is_verified(t: TestApp) {
        let acme = t.org("acme").await;
        let made = invite(&acme.owner, ACME, json!({ "email": "dana@example.com" })).await.expect(201).at("/token");
        let link = invite(&acme.owner, ACME, json!({})).await.expect(201).at("/token");
        refused_field(register(&t, "eve@example.com", &made).await, "email");
        for (email, token) in [("dana@example.com", made), ("erin@example.com", link)] {
            let registered = register(&t, email, &token).await.expect(201);
            assert_eq!(registered.at("/user/email_verified"), "false");
            let person = t.anonymous().bearer(&registered.at("/access_token"));
            person.get(ACME).await.problem(404, "not_found");
            accept(&person, &token).await.problem(403, "email_unverified");
            let proof = json!({ "token": expect_token(&t, email, VERIFY, 1).await });
            t.anonymous().post("/v1/auth/email/verify", proof).await.expect(204).ok();
            accept(&person, &token).await.expect(201).ok();
            person.get(ACME).await.expect(200).ok();
        }
    }
}

/// An application that does not let everybody register.
async fn narrowed(backend: harness::Backend, policy: &str) -> TestApp {
    TestApp::start(Options::new(backend).with("STRONGROOM_REGISTRATION", policy)).await
}

/// The owner of `acme`: the first administrator, who needs no registration.
async fn founder(t: &TestApp) -> harness::Client {
    let token = t.setup_token().expect("a setup token");
    let body =
        json!({ "setup_token": token, "email": "chief@example.com", "password": PASSWORD, "transport": "bearer" });
    let made = t.anonymous().post("/v1/setup/create-admin", body).await.expect(201);
    let chief = t.anonymous().bearer(&made.at("/access_token"));
    chief
        .post("/v1/orgs", json!({ "name": "acme", "slug": "acme" }))
        .await
        .expect(201)
        .ok();
    chief
}

on_each_backend! {
    async fn where_accounts_are_made_by_invitation_one_is_needed(backend: Backend) {
        let t = narrowed(backend, "invite").await;
        let chief = founder(&t).await;
        let body = json!({ "email": "dana@example.com", "password": PASSWORD });
        t.anonymous().post("/v1/auth/register", body).await.problem(403, "registration_closed");
        for email in ["dana@example.com", "erin@example.com"] {
            invite(&chief, ACME, json!({ "email": email })).await.expect(201).ok();
        }
        let (dana, erin) = (expect_token(&t, "dana@example.com", INVITE, 1).await, expect_token(&t, "erin@example.com", INVITE, 1).await);
        register(&t, "dana@example.com", &dana).await.expect(201).ok();
        come(&t, &erin, json!({ "password": PASSWORD })).await.expect(201).ok();
        let link = invite(&chief, ACME, json!({})).await.expect(201).at("/token");
        register(&t, "frida@example.com", &link).await.expect(201).ok();
        assert_eq!(accounts(&t).await, 4);
    }

    async fn where_registration_is_closed_an_invitation_makes_no_account(backend: Backend) {
        let t = narrowed(backend, "closed").await;
        let chief = founder(&t).await;
        invite(&chief, ACME, json!({ "email": "dana@example.com" })).await.expect(201).ok();
        let token = expect_token(&t, "dana@example.com", INVITE, 1).await;
        register(&t, "dana@example.com", &token).await.problem(403, "registration_closed");
        come(&t, &token, json!({ "password": PASSWORD })).await.problem(403, "registration_closed");
        assert_eq!((accounts(&t).await, uses(&t).await), (1, 0));
    }

    async fn where_addresses_are_proved_first_the_mail_is_the_proof(backend: Backend) {
        let t = narrowed(backend, "email_first").await;
        let chief = founder(&t).await;
        let made = invite(&chief, ACME, json!({ "email": "dana@example.com" })).await.expect(201);
        register(&t, "dana@example.com", &made.at("/token")).await.problem(403, "registration_closed");
        let token = expect_token(&t, "dana@example.com", INVITE, 1).await;
        register(&t, "dana@example.com", &token).await.expect(201).ok();
    }
}
