//! The mail that verifies an address.

use std::time::Duration;

use harness::app::Options;
use harness::mailbox::{Mailbox, RESET, VERIFY, expect_letter, expect_link, link_tokens};
use harness::people::PASSWORD;
use harness::smtp::SmtpSink;
use harness::{Answer, Person, TestApp, on_both, on_each_backend};
use serde_json::json;

async fn verify(t: &TestApp, token: &str) -> Answer {
    t.anonymous()
        .post("/v1/auth/email/verify", json!({ "token": token }))
        .await
}

async fn is_verified(person: &Person) -> String {
    person.get("/v1/auth/me").await.expect(200).at("/email_verified")
}

async fn send_again(person: &Person) -> Answer {
    person.post("/v1/auth/email/send-verification", json!({})).await
}

on_both! {
    async fn the_mailed_link_verifies_the_address_once(t: TestApp) {
        let dana = t.person("dana").await;
        let token = expect_link(&t, &dana.email, 1).await;
        assert_eq!(is_verified(&dana).await, "false");
        verify(&t, &token).await.expect(204).ok();
        assert_eq!(is_verified(&dana).await, "true");
        let again = verify(&t, &token).await.problem(422, "invalid_field");
        assert_eq!(again.at("/errors/0/field"), "token");
        send_again(&dana).await.problem(409, "conflict");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'user.email_verified'").await, 1);
        assert_eq!(Mailbox::mails(&t).len(), 1);
    }

    async fn a_new_mail_ends_the_link_of_the_one_before(t: TestApp) {
        let dana = t.person("dana").await;
        let first = expect_link(&t, &dana.email, 1).await;
        send_again(&dana).await.expect(204).ok();
        let second = expect_link(&t, &dana.email, 2).await;
        verify(&t, &first).await.problem(422, "invalid_field");
        assert_eq!(is_verified(&dana).await, "false");
        verify(&t, &second).await.expect(204).ok();
    }

    async fn whoever_registers_with_the_address_of_a_stranger_writes_nothing_into_their_mail(t: TestApp) {
        let name = "<b>Win</b> at evil.example";
        let body = json!({ "email": "stranger@example.com", "password": PASSWORD, "first_name": name });
        t.anonymous().post("/v1/auth/register", body).await.expect(201).ok();
        let forgot = json!({ "email": "stranger@example.com" });
        t.anonymous().post("/v1/auth/password/forgot", forgot.clone()).await.expect(200).ok();
        for subject in [VERIFY, RESET] {
            let mail = expect_letter(&t, "stranger@example.com", subject, 1).await;
            assert!(mail.contains("Hello,") && !mail.contains("evil.example"), "{mail}");
        }
        // Who has proved the address is called by the name that they chose.
        let token = expect_link(&t, "stranger@example.com", 1).await;
        verify(&t, &token).await.expect(204).ok();
        t.anonymous().post("/v1/auth/password/forgot", forgot).await.expect(200).ok();
        let mail = expect_letter(&t, "stranger@example.com", RESET, 2).await;
        assert!(mail.contains(&format!("Hello {name},")) && mail.contains("&lt;b&gt;Win&lt;/b&gt; at"), "{mail}");
    }

    async fn no_token_of_another_kind_verifies(t: TestApp) {
        let dana = t.person("dana").await;
        expect_link(&t, &dana.email, 1).await;
        for token in ["", "srm_lnk_nonsense", &dana.refresh_token] {
            verify(&t, token).await.problem(422, "invalid_field");
        }
        assert_eq!(is_verified(&dana).await, "false");
    }

    async fn neither_the_mail_table_nor_the_queue_holds_the_link(t: TestApp) {
        let dana = t.person("dana").await;
        let token = expect_link(&t, &dana.email, 1).await;
        let tail = token.trim_start_matches("srm_lnk_");
        let held = format!(
            "SELECT (SELECT COUNT(*) FROM jobs WHERE payload LIKE '%{tail}%')
                + (SELECT COUNT(*) FROM mails WHERE template LIKE '%{tail}%')
                + (SELECT COUNT(*) FROM journal WHERE data LIKE '%{tail}%')"
        );
        assert_eq!(t.number(&held).await, 0);
    }
}

on_each_backend! {
    async fn a_mail_server_is_given_the_mail(backend: Backend) {
        let server = SmtpSink::start().await;
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_SMTP_URL", &server.url)).await;
        let dana = t.person("dana").await;
        let token = expect_link(&server, &dana.email, 1).await;
        assert!(Mailbox::mails(&t).is_empty(), "no file is written beside it");
        assert_eq!(link_tokens(&server, "somebody@example.com").len(), 0);
        verify(&t, &token).await.expect(204).ok();
        assert_eq!(is_verified(&dana).await, "true");
    }

    async fn a_link_ends_after_a_day(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let token = expect_link(&t, &dana.email, 1).await;
        t.advance(Duration::from_hours(24));
        verify(&t, &token).await.problem(422, "invalid_field");
    }
}
