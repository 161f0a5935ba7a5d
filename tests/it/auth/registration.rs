//! Making an account.

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{Answer, Client, TestApp, on_both, on_each_backend};
use serde_json::json;

async fn register(client: &Client, email: &str, password: &str) -> Answer {
    client
        .post("/v1/auth/register", json!({ "email": email, "password": password }))
        .await
}

async fn accounts(t: &TestApp) -> i64 {
    t.number("SELECT COUNT(*) FROM users").await
}

on_both! {
    async fn a_browser_registers_and_is_signed_in_by_cookie_alone(t: TestApp) {
        let made = register(&t.anonymous(), "dana@example.com", PASSWORD).await.expect(201);
        let cookie = made.header("set-cookie").unwrap_or_default().to_owned();
        let token = cookie.strip_prefix("strongroom=").and_then(|rest| rest.split(';').next()).unwrap_or_default();
        assert!(token.starts_with("srm_ses_"), "{cookie}");
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax") && cookie.contains("; Path=/"));
        for field in ["access_token", "refresh_token", "token_type", "expires_in"] {
            assert!(made.json().get(field).is_none(), "{field}");
        }
        assert!(!made.text().contains(token), "the token is in the cookie alone");
        let me = t.anonymous().cookie(token).get("/v1/auth/me").await.expect(200);
        assert_eq!(me.at("/id"), made.at("/user/id"));
    }

    async fn a_program_registers_and_gets_tokens(t: TestApp) {
        let body = json!({
            "email": "Dana@Example.com", "password": PASSWORD, "transport": "bearer",
            "first_name": "Dana", "last_name": "Scully",
        });
        let made = t.anonymous().post("/v1/auth/register", body).await.expect(201);
        assert_eq!(made.header("set-cookie"), None);
        assert!(made.at("/user/id").starts_with("usr_") && made.at("/org/id").starts_with("org_"));
        assert_eq!(made.at("/user/email"), "Dana@Example.com");
        assert_eq!((made.at("/user/first_name"), made.at("/user/last_name")), ("Dana".into(), "Scully".into()));
        assert_eq!((made.at("/user/is_superuser"), made.at("/user/has_password")), ("false".into(), "true".into()));
        assert_eq!((made.at("/token_type"), made.at("/expires_in")), ("Bearer".into(), "3600".into()));
        assert!(made.at("/access_token").starts_with("srm_ses_"));
        assert!(made.at("/refresh_token").starts_with("srm_ref_"));
        let org = t.anonymous().bearer(&made.at("/access_token")).get("/v1/orgs/dana").await.expect(200);
        assert_eq!((org.at("/id"), org.at("/role")), (made.at("/org/id"), "owner".into()));
        assert_eq!(org.at("/is_personal"), "true");
    }

    async fn addresses_that_differ_in_case_only_are_one_account(t: TestApp) {
        register(&t.anonymous(), "dana@example.com", PASSWORD).await.ok();
        for again in ["dana@example.com", "DANA@example.COM", " Dana@Example.com "] {
            register(&t.anonymous(), again, PASSWORD).await.problem(409, "email_taken");
        }
        assert_eq!(accounts(&t).await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM orgs").await, 1);
    }

    async fn two_who_register_one_address_at_once_make_one_account(t: TestApp) {
        let client = t.anonymous();
        let (one, two) = tokio::join!(
            register(&client, "dana@example.com", PASSWORD),
            register(&client, "DANA@example.com", PASSWORD),
        );
        let mut statuses = [one.status(), two.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409]);
        assert_eq!(accounts(&t).await, 1);
    }

    async fn passwords_that_are_easily_guessed_are_refused(t: TestApp) {
        for (password, reason) in [
            ("short1!", "too_short"),
            ("password", "too_weak"),
            ("dana@example.com", "too_weak"),
            ("strongroom", "too_weak"),
            ("aaaaaaaaaaaaaaaaaaaa", "too_weak"),
            (&"x".repeat(1025), "too_long"),
        ] {
            let refused = register(&t.anonymous(), "dana@example.com", password).await.problem(422, "invalid_field");
            assert_eq!((refused.at("/errors/0/field"), refused.at("/errors/0/reason")), ("password".into(), reason.into()));
            assert!(!refused.text().contains("aaaaaaaa"), "the password is not repeated");
        }
        assert_eq!(accounts(&t).await, 0);
    }

    async fn what_is_no_address_is_refused(t: TestApp) {
        for email in [
            "", "dana", "dana@", "@example.com", "dana@localhost", "da na@example.com", "dana@exa_mple.com",
            "dana@example.com.", "dana\0@example.com", "dana@example.com\r\nBcc: eve@example.com",
            "\u{ff24}ana@example.com", "d\u{430}na@example.com", "dana@ex\u{430}mple.com",
        ] {
            let refused = register(&t.anonymous(), email, PASSWORD).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "email", "{email}");
        }
        assert_eq!(accounts(&t).await, 0);
    }

    async fn names_of_several_lines_are_refused(t: TestApp) {
        for field in ["first_name", "last_name"] {
            let body = json!({ "email": "dana@example.com", "password": PASSWORD, field: "Dana\r\nBcc: eve@example.com" });
            let refused = t.anonymous().post("/v1/auth/register", body).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), field);
        }
        assert_eq!((accounts(&t).await, t.number("SELECT COUNT(*) FROM mails").await), (0, 0));
    }

    async fn people_of_one_name_get_personal_organisations_of_their_own(t: TestApp) {
        let one = register(&t.anonymous(), "dana@example.com", PASSWORD).await.expect(201);
        let two = register(&t.anonymous(), "dana@example.org", PASSWORD).await.expect(201);
        assert_eq!(one.at("/org/slug"), "dana");
        assert!(two.at("/org/slug").starts_with("dana-"), "{}", two.at("/org/slug"));
    }
}

on_each_backend! {
    async fn nobody_registers_where_registration_is_closed(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_REGISTRATION", "closed")).await;
        register(&t.anonymous(), "dana@example.com", PASSWORD).await.problem(403, "registration_closed");
        assert_eq!(accounts(&t).await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM mails").await, 0);
    }
}
