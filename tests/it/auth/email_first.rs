//! Registering by proving the address first.

use std::time::Duration;

use harness::app::Options;
use harness::mailbox::{REGISTER, expect_code, expect_letter, letters};
use harness::people::PASSWORD;
use harness::{Answer, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

const TAKEN: &str = "You have an account already";

async fn begin(t: &TestApp, email: &str) -> Answer {
    t.anonymous().post("/v1/auth/register", json!({ "email": email })).await
}

async fn verify(t: &TestApp, token: &str, code: &str) -> Answer {
    let body = json!({ "challenge_token": token, "code": code });
    t.anonymous().post("/v1/auth/register/verify", body).await
}

fn completion(token: &str, password: &str) -> Value {
    json!({ "registration_token": token, "password": password, "transport": "bearer", "first_name": "Dana" })
}

async fn complete(t: &TestApp, token: &str, password: &str) -> Answer {
    t.anonymous()
        .post("/v1/auth/register/complete", completion(token, password))
        .await
}

/// A registration token for an address.
async fn proved(t: &TestApp, email: &str) -> String {
    let token = begin(t, email).await.expect(202).at("/challenge_token");
    let code = expect_code(t, email, REGISTER, 1).await;
    verify(t, &token, &code).await.expect(200).at("/registration_token")
}

async fn accounts(t: &TestApp) -> i64 {
    t.number("SELECT COUNT(*) FROM users").await
}

on_both! {
    async fn code_then_password_makes_an_account_whose_address_is_verified(t: TestApp) {
        let token = proved(&t, "Dana@Example.com").await;
        assert_eq!(accounts(&t).await, 0);
        let made = complete(&t, &token, PASSWORD).await.expect(201);
        assert_eq!((made.at("/user/email"), made.at("/user/email_verified")), ("Dana@Example.com".into(), "true".into()));
        assert_eq!((made.at("/user/first_name"), made.at("/user/has_password")), ("Dana".into(), "true".into()));
        let dana = t.anonymous().bearer(&made.at("/access_token"));
        assert_eq!(dana.get(&format!("/v1/orgs/{}", made.at("/org/slug"))).await.expect(200).at("/role"), "owner");
        let again = complete(&t, &token, PASSWORD).await.problem(422, "invalid_field");
        assert_eq!(again.at("/errors/0/field"), "registration_token");
        assert_eq!((accounts(&t).await, t.number("SELECT COUNT(*) FROM journal WHERE action = 'user.registered'").await), (1, 1));
    }

    async fn an_address_with_an_account_is_told_by_mail_alone(t: TestApp) {
        let dana = t.person("dana").await;
        let known = begin(&t, "DANA@example.com").await.expect(202);
        let unknown = begin(&t, "nobody@example.com").await.expect(202);
        let shape = |answer: &Answer| {
            let token = answer.at("/challenge_token");
            answer.text().replace(&token, &"x".repeat(token.len()))
        };
        assert_eq!(shape(&known), shape(&unknown));
        let mail = expect_letter(&t, &dana.email, TAKEN, 1).await;
        assert!(mail.contains("To: dana@example.com"), "to the address as it is stored: {mail}");
        expect_letter(&t, "nobody@example.com", REGISTER, 1).await;
        assert!(letters(&t, &dana.email, REGISTER).is_empty());
        for (answer, code) in [(known, "000000"), (unknown, "000000")] {
            let wrong = verify(&t, &answer.at("/challenge_token"), code).await.problem(422, "invalid_field");
            assert_eq!(wrong.at("/errors/0/field"), "code");
        }
    }

    async fn a_code_works_for_the_client_that_began_and_once(t: TestApp) {
        let token = begin(&t, "dana@example.com").await.expect(202).at("/challenge_token");
        let other = begin(&t, "eve@example.com").await.expect(202).at("/challenge_token");
        let code = expect_code(&t, "dana@example.com", REGISTER, 1).await;
        if code != expect_code(&t, "eve@example.com", REGISTER, 1).await {
            verify(&t, &other, &code).await.problem(422, "invalid_field");
        }
        let proof = verify(&t, &token, &code).await.expect(200);
        assert!(proof.at("/registration_token").starts_with("srm_chl_"));
        verify(&t, &token, &code).await.problem(422, "invalid_field");
        complete(&t, &token, PASSWORD).await.problem(422, "invalid_field");
        assert_eq!(accounts(&t).await, 0);
    }

    async fn five_wrong_codes_are_all(t: TestApp) {
        let token = begin(&t, "dana@example.com").await.expect(202).at("/challenge_token");
        let code = expect_code(&t, "dana@example.com", REGISTER, 1).await;
        for _ in 0..5 {
            let wrong = if code == "000000" { "000001" } else { "000000" };
            verify(&t, &token, wrong).await.problem(422, "invalid_field");
        }
        verify(&t, &token, &code).await.problem(422, "invalid_field");
    }

    async fn a_code_is_sent_again_under_a_new_token(t: TestApp) {
        let first = begin(&t, "dana@example.com").await.expect(202).at("/challenge_token");
        let old = expect_code(&t, "dana@example.com", REGISTER, 1).await;
        let resend = |token: String| {
            let client = t.anonymous();
            async move { client.post("/v1/auth/register/resend", json!({ "challenge_token": token })).await }
        };
        let second = resend(first.clone()).await.expect(202).at("/challenge_token");
        let new = expect_code(&t, "dana@example.com", REGISTER, 2).await;
        verify(&t, &first, &old).await.problem(422, "invalid_field");
        verify(&t, &second, &new).await.expect(200).ok();
        for gone in [first, second, "srm_chl_nonsense".to_owned()] {
            let refused = resend(gone).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "challenge_token");
        }
    }

    async fn a_weak_password_does_not_use_the_registration_up(t: TestApp) {
        let token = proved(&t, "dana@example.com").await;
        let refused = complete(&t, &token, "dana@example.com").await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "password");
        complete(&t, &token, PASSWORD).await.expect(201).ok();
    }

    async fn of_many_who_complete_at_once_one_gets_the_account(t: TestApp) {
        let token = proved(&t, "dana@example.com").await;
        let answers = futures_util::future::join_all((0..8).map(|_| complete(&t, &token, PASSWORD))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status() == 201).count(), 1);
        assert_eq!(accounts(&t).await, 1);
    }

    async fn an_address_that_was_taken_meanwhile_is_refused(t: TestApp) {
        let token = proved(&t, "dana@example.com").await;
        t.person("dana").await;
        complete(&t, &token, PASSWORD).await.problem(409, "email_taken");
        assert_eq!(accounts(&t).await, 1);
    }
}

on_each_backend! {
    async fn a_registration_is_completed_within_half_an_hour(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let token = proved(&t, "dana@example.com").await;
        t.advance(Duration::from_mins(30));
        complete(&t, &token, PASSWORD).await.problem(422, "invalid_field");
    }

    async fn an_instance_may_want_the_address_proved_first(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_REGISTRATION", "email_first")).await;
        let body = json!({ "email": "dana@example.com", "password": PASSWORD });
        let refused = t.anonymous().post("/v1/auth/register", body).await.problem(403, "registration_closed");
        assert!(refused.at("/detail").contains("without `password`"), "{}", refused.text());
        assert_eq!(accounts(&t).await, 0);
        let token = proved(&t, "dana@example.com").await;
        complete(&t, &token, PASSWORD).await.expect(201).ok();
    }

    async fn nobody_registers_alone_where_invitations_are_wanted(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_REGISTRATION", "invite")).await;
        begin(&t, "dana@example.com").await.problem(403, "registration_closed");
        let body = json!({ "email": "dana@example.com", "password": PASSWORD });
        t.anonymous().post("/v1/auth/register", body).await.problem(403, "registration_closed");
        assert_eq!((accounts(&t).await, t.number("SELECT COUNT(*) FROM mails").await), (0, 0));
    }
}
