//! Several addresses of one account.

use harness::app::Options;
use harness::mailbox::{VERIFY, expect_code, expect_letter, expect_link, letters};
use harness::people::PASSWORD;
use harness::{Answer, Person, TestApp, on_both, on_each_backend};
use serde_json::json;

use super::codes::verified;

const OTHER: &str = "dana@example.org";

async fn add(person: &Person, email: &str) -> Answer {
    person.post("/v1/auth/emails", json!({ "email": email })).await
}

fn path(id: &str, rest: &str) -> String {
    format!("/v1/auth/emails/{id}{rest}")
}

async fn verify(t: &TestApp, person: &Person, id: &str, email: &str) -> Answer {
    let code = expect_code(t, email, VERIFY, 1).await;
    person.post(&path(id, "/verify"), json!({ "code": code })).await
}

/// Somebody with a second address that is verified.
async fn with_two(t: &TestApp) -> (Person, String) {
    let dana = verified(t, "dana").await;
    let id = add(&dana, OTHER).await.expect(201).at("/id");
    verify(t, &dana, &id, OTHER).await.expect(204).ok();
    (dana, id)
}

async fn login(t: &TestApp, email: &str) -> Answer {
    t.anonymous()
        .post("/v1/auth/login", json!({ "email": email, "password": PASSWORD }))
        .await
}

on_both! {
    async fn an_added_address_signs_in_once_it_is_verified(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let added = add(&dana, " Dana@Example.ORG ").await.expect(201);
        assert_eq!((added.at("/is_default"), added.at("/is_verified")), ("false".into(), "false".into()));
        login(&t, OTHER).await.problem(401, "invalid_credentials");
        let code = expect_code(&t, "Dana@Example.ORG", VERIFY, 1).await;
        dana.post(&path(&added.at("/id"), "/verify"), json!({ "code": code })).await.expect(204).ok();
        login(&t, OTHER).await.expect(200).ok();
        let all = dana.get("/v1/auth/emails").await.expect(200);
        assert_eq!((all.at("/data/0/email"), all.at("/data/0/is_default")), (dana.email.clone(), "true".into()));
        assert_eq!((all.at("/data/1/email"), all.at("/data/1/is_verified")), ("Dana@Example.ORG".into(), "true".into()));
        let mail = expect_letter(&t, &dana.email, "An address was added to your account", 1).await;
        assert!(mail.contains("Dana@Example.ORG"));
    }

    async fn a_code_verifies_in_the_session_and_the_link_anywhere(t: TestApp) {
        let (dana, eve) = (t.person("dana").await, t.person("eve").await);
        let code = expect_code(&t, &dana.email, VERIFY, 1).await;
        let body = json!({ "code": code });
        t.anonymous().post("/v1/auth/email/verify", body.clone()).await.problem(401, "unauthenticated");
        let theirs = json!({ "code": code, "email": dana.email });
        let refused = eve.post("/v1/auth/email/verify", theirs.clone()).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "email");
        let token = dana.token(json!({ "name": "ci" })).await;
        token.post("/v1/auth/email/verify", body.clone()).await.problem(403, "session_required");
        let wrong = json!({ "code": if code == "000000" { "000001" } else { "000000" } });
        let refused = dana.post("/v1/auth/email/verify", wrong).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "code");
        for neither in [json!({}), json!({ "email": dana.email }), json!({ "token": "x", "code": code })] {
            dana.post("/v1/auth/email/verify", neither).await.problem(422, "invalid_field");
        }
        dana.post("/v1/auth/email/verify", theirs).await.expect(204).ok();
        assert_eq!(dana.get("/v1/auth/me").await.expect(200).at("/email_verified"), "true");
        let link = expect_link(&t, &eve.email, 1).await;
        t.anonymous().post("/v1/auth/email/verify", json!({ "token": link })).await.expect(204).ok();
        assert_eq!(eve.get("/v1/auth/me").await.expect(200).at("/email_verified"), "true");
    }

    async fn a_verification_code_takes_five_tries(t: TestApp) {
        let dana = t.person("dana").await;
        let code = expect_code(&t, &dana.email, VERIFY, 1).await;
        let wrong = if code == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            dana.post("/v1/auth/email/verify", json!({ "code": wrong })).await.problem(422, "invalid_field");
        }
        dana.post("/v1/auth/email/verify", json!({ "code": code })).await.problem(422, "invalid_field");
        assert_eq!(dana.get("/v1/auth/me").await.expect(200).at("/email_verified"), "false");
    }

    async fn the_default_moves_to_a_verified_address_and_the_old_one_is_told(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let id = add(&dana, OTHER).await.expect(201).at("/id");
        let default = json!({ "is_default": true });
        dana.patch(&path(&id, ""), default.clone()).await.problem(403, "email_unverified");
        verify(&t, &dana, &id, OTHER).await.expect(204).ok();
        assert_eq!(dana.patch(&path(&id, ""), default.clone()).await.expect(200).at("/is_default"), "true");
        assert_eq!(dana.get("/v1/auth/me").await.expect(200).at("/email"), OTHER);
        expect_letter(&t, &dana.email, "Your default address was changed", 1).await;
        assert!(letters(&t, OTHER, "Your default address was changed").is_empty());
        let rows = t.number("SELECT COUNT(*) FROM journal").await;
        dana.patch(&path(&id, ""), default).await.expect(200).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM journal").await, rows, "nothing changed");
        let refused = dana.patch(&path(&id, ""), json!({ "is_default": false })).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "is_default");
    }

    async fn the_default_cannot_be_removed_and_others_can(t: TestApp) {
        let (dana, other) = with_two(&t).await;
        let first = dana.get("/v1/auth/emails").await.expect(200).at("/data/0/id");
        dana.delete(&path(&first, "")).await.problem(409, "conflict");
        dana.delete(&path(&other, "")).await.expect(204).ok();
        login(&t, OTHER).await.problem(401, "invalid_credentials");
        expect_letter(&t, &dana.email, "An address was removed from your account", 1).await;
        dana.delete(&path(&other, "")).await.problem(404, "not_found");
        let eve = t.person("eve").await;
        assert_eq!(add(&eve, OTHER).await.expect(201).at("/is_verified"), "false");
    }

    async fn an_address_of_another_account_is_taken_and_one_that_is_only_claimed_is_not(t: TestApp) {
        let (dana, _) = with_two(&t).await;
        let eve = verified(&t, "eve").await;
        for taken in [dana.email.as_str(), "DANA@example.org"] {
            add(&eve, taken).await.problem(409, "email_taken");
        }
        add(&eve, &eve.email).await.problem(409, "conflict");
        add(&eve, "shared@example.com").await.expect(201).ok();
        add(&dana, "shared@example.com").await.expect(201).ok();
        add(&eve, "shared@example.com").await.problem(409, "conflict");
    }

    async fn whoever_proves_an_address_ends_the_claims_of_others(t: TestApp) {
        let (dana, eve) = (verified(&t, "dana").await, verified(&t, "eve").await);
        let claimed = add(&eve, "shared@example.com").await.expect(201).at("/id");
        let owned = add(&dana, "shared@example.com").await.expect(201).at("/id");
        let code = expect_code(&t, "shared@example.com", VERIFY, 2).await;
        dana.post(&path(&owned, "/verify"), json!({ "code": code })).await.expect(204).ok();
        let code = expect_code(&t, "shared@example.com", VERIFY, 1).await;
        eve.post(&path(&claimed, "/verify"), json!({ "code": code })).await.problem(404, "not_found");
        let left = eve.get("/v1/auth/emails").await.expect(200);
        assert_eq!(left.at("/pagination/total"), "1");
        assert_eq!(login(&t, "shared@example.com").await.expect(200).at("/user/id"), dana.id.to_string());
        add(&eve, "shared@example.com").await.problem(409, "email_taken");
    }

    async fn an_account_whose_only_address_was_proved_by_another_goes_on_without_it(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let owned = add(&dana, "shared@example.com").await.expect(201).at("/id");
        let code = expect_code(&t, "shared@example.com", VERIFY, 1).await;
        let squatter = t.person("shared").await;
        squatter.patch("/v1/auth/me", json!({ "username": "squatter" })).await.expect(200).ok();
        dana.post(&path(&owned, "/verify"), json!({ "code": code })).await.expect(204).ok();
        assert_eq!(login(&t, "shared@example.com").await.expect(200).at("/user/id"), dana.id.to_string());
        let me = squatter.get("/v1/auth/me").await.expect(200);
        assert!(me.at("/email").ends_with(".invalid"), "{}", me.text());
        assert_eq!(login(&t, "squatter").await.expect(200).at("/user/id"), squatter.id.to_string());
        // It gets an address of its own like anybody.
        let own = add(&squatter, "own@example.com").await.expect(201).at("/id");
        verify(&t, &squatter, &own, "own@example.com").await.expect(204).ok();
        squatter.patch(&path(&own, ""), json!({ "is_default": true })).await.expect(200).ok();
        let lost = squatter.get("/v1/auth/emails").await.expect(200).at("/data/1/id");
        squatter.delete(&path(&lost, "")).await.expect(204).ok();
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'user.email_removed'").await, 2);
    }

    async fn an_account_has_ten_addresses_at_most(t: TestApp) {
        let dana = t.person("dana").await;
        for n in 1..10 {
            add(&dana, &format!("dana{n}@example.com")).await.expect(201).ok();
        }
        add(&dana, "dana10@example.com").await.problem(409, "conflict");
        assert_eq!(t.number("SELECT COUNT(*) FROM user_emails").await, 10);
    }

    async fn addresses_of_others_answer_like_none(t: TestApp) {
        let (dana, other) = with_two(&t).await;
        let eve = t.person("eve").await;
        for answer in [eve.post(&path(&other, "/resend"), json!({})).await, eve.post(&path(&other, "/verify"), json!({ "code": "000000" })).await] {
            answer.problem(404, "not_found");
        }
        eve.patch(&path(&other, ""), json!({ "is_default": true })).await.problem(404, "not_found");
        eve.delete(&path(&other, "")).await.problem(404, "not_found");
        assert_eq!(dana.get("/v1/auth/emails").await.expect(200).at("/pagination/total"), "2");
    }

    async fn three_verification_mails_go_out_an_hour(t: TestApp) {
        let dana = t.person("dana").await;
        let id = dana.get("/v1/auth/emails").await.expect(200).at("/data/0/id");
        for _ in 0..4 {
            dana.post(&path(&id, "/resend"), json!({})).await.expect(204).ok();
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM mails WHERE template = 'verify_email_v1'").await, 3);
        let code = expect_code(&t, &dana.email, VERIFY, 3).await;
        dana.post(&path(&id, "/verify"), json!({ "code": code })).await.expect(204).ok();
        dana.post(&path(&id, "/resend"), json!({})).await.problem(409, "conflict");
    }

    // Whoever adds and removes a stranger's address again and again would have us write to them as often.
    async fn three_verification_mails_go_to_one_address_an_hour_whoever_adds_it(t: TestApp) {
        let (dana, eve) = (t.person("dana").await, t.person("eve").await);
        for (n, person) in [&dana, &eve, &dana].into_iter().enumerate() {
            let id = add(person, "stranger@example.com").await.expect(201).at("/id");
            expect_letter(&t, "stranger@example.com", VERIFY, n + 1).await;
            person.delete(&path(&id, "")).await.expect(204).ok();
        }
        for person in [&dana, &eve] {
            let id = add(person, "stranger@example.com").await.expect(201).at("/id");
            person.post(&path(&id, "/resend"), json!({})).await.expect(204).ok();
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM mails m JOIN user_emails e ON e.id = m.email_id WHERE e.canonical = 'stranger@example.com'").await, 0);
        assert_eq!(letters(&t, "stranger@example.com", VERIFY).len(), 3);
    }

    async fn of_two_defaults_set_at_once_one_stays(t: TestApp) {
        let (dana, other) = with_two(&t).await;
        let third = add(&dana, "third@example.com").await.expect(201).at("/id");
        verify(&t, &dana, &third, "third@example.com").await.expect(204).ok();
        for _ in 0..10 {
            let body = json!({ "is_default": true });
            let (one, two) = (path(&other, ""), path(&third, ""));
            let (one, two) = tokio::join!(dana.patch(&one, body.clone()), dana.patch(&two, body.clone()));
            assert_eq!((one.status(), two.status()), (200, 200), "{} {}", one.text(), two.text());
            assert_eq!(t.number("SELECT COUNT(*) FROM user_emails WHERE is_primary").await, 1);
        }
    }
}

on_each_backend! {
    async fn a_sign_in_from_a_new_place_is_told_and_from_a_known_one_is_not(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let subject = "New sign-in to your account";
        let dana = t.person("dana").await;
        login(&t, &dana.email).await.expect(200).ok();
        let body = json!({ "email": dana.email, "password": PASSWORD });
        let phone = t.anonymous().with("User-Agent", "Phone/<1>");
        for _ in 0..2 {
            phone.post("/v1/auth/login", body.clone()).await.expect(200).ok();
        }
        let mail = expect_letter(&t, &dana.email, subject, 1).await;
        assert!(mail.contains("Phone/<1>") && mail.contains("Phone/&lt;1&gt;") && mail.contains("127.0.0.1"), "{mail}");
        assert_eq!(t.number("SELECT COUNT(*) FROM mails WHERE template = 'new_sign_in_v1'").await, 1);
        t.advance(std::time::Duration::from_hours(91 * 24));
        phone.post("/v1/auth/login", body).await.expect(200).ok();
        expect_letter(&t, &dana.email, subject, 2).await;
    }
}
