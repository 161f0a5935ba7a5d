//! Signing in with a mailed code.

use std::time::Duration;

use harness::app::Options;
use harness::mailbox::{REGISTER, RESET, SIGN_IN, VERIFY, expect_code, expect_link, expect_token, letters};
use harness::people::PASSWORD;
use harness::{Answer, Authenticator, Person, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

async fn ask(t: &TestApp, email: &str) -> String {
    let begun = t
        .anonymous()
        .post("/v1/auth/code", json!({ "email": email }))
        .await
        .expect(200);
    assert_eq!(begun.at("/expires_in"), "600");
    begun.at("/challenge_token")
}

fn body(token: &str, code: &str) -> Value {
    json!({ "challenge_token": token, "code": code, "transport": "bearer" })
}

async fn try_code(t: &TestApp, token: &str, code: &str) -> Answer {
    t.anonymous().post("/v1/auth/code/verify", body(token, code)).await
}

/// A code that is not the one.
fn other_than(code: &str) -> String {
    let number: u32 = code.parse().expect("six digits");
    format!("{:06}", (number + 1) % 1_000_000)
}

/// Somebody with a verified address.
pub async fn verified(t: &TestApp, name: &str) -> Person {
    let person = t.person(name).await;
    let token = expect_link(t, &person.email, 1).await;
    t.anonymous()
        .post("/v1/auth/email/verify", json!({ "token": token }))
        .await
        .expect(204)
        .ok();
    person
}

on_both! {
    async fn the_mailed_code_signs_in_once(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let token = ask(&t, "DANA@example.com").await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 1).await;
        let spaced = format!(" {} {} ", &code[..3], &code[3..]);
        let signed_in = try_code(&t, &token, &spaced).await.expect(200);
        assert_eq!(signed_in.at("/user/id"), dana.id.to_string());
        t.anonymous().bearer(&signed_in.at("/access_token")).get("/v1/auth/me").await.expect(200).ok();
        dana.get("/v1/auth/me").await.expect(200).ok();
        try_code(&t, &token, &code).await.problem(401, "invalid_credentials");
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'user.code_requested'").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'session.created'").await, 1);
    }

    async fn a_code_is_good_only_for_the_client_that_asked(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let eve = verified(&t, "eve").await;
        let foreign = ask(&t, &eve.email).await;
        let token = ask(&t, &dana.email).await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 1).await;
        expect_code(&t, &eve.email, SIGN_IN, 1).await;
        for other in [foreign.as_str(), "", "srm_chl_nonsense", &dana.refresh_token] {
            try_code(&t, other, &code).await.problem(401, "invalid_credentials");
        }
        try_code(&t, &token, &code).await.expect(200).ok();
    }

    async fn a_new_code_ends_the_one_before(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let first = ask(&t, &dana.email).await;
        let old = expect_code(&t, &dana.email, SIGN_IN, 1).await;
        let second = ask(&t, &dana.email).await;
        let new = expect_code(&t, &dana.email, SIGN_IN, 2).await;
        try_code(&t, &first, &old).await.problem(401, "invalid_credentials");
        try_code(&t, &second, &new).await.expect(200).ok();
    }

    async fn a_thousand_guesses_are_five(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let token = ask(&t, &dana.email).await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 1).await;
        let mut guesses = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (client, body) = (t.anonymous(), body(&token, &other_than(&code)));
            guesses.spawn(async move {
                for _ in 0..100 {
                    client.post("/v1/auth/code/verify", body.clone()).await.problem(401, "invalid_credentials");
                }
            });
        }
        while let Some(guessed) = guesses.join_next().await {
            guessed.expect("the guesses are answered");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM challenges WHERE attempts = 5").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM challenges WHERE attempts > 5").await, 0);
        try_code(&t, &token, &code).await.problem(401, "invalid_credentials");
    }

    async fn the_right_code_at_the_fifth_try_still_signs_in(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let token = ask(&t, &dana.email).await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 1).await;
        for _ in 0..4 {
            try_code(&t, &token, &other_than(&code)).await.problem(401, "invalid_credentials");
        }
        try_code(&t, &token, &code).await.expect(200).ok();
    }

    async fn of_many_who_use_one_code_at_once_one_signs_in(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let token = ask(&t, &dana.email).await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 1).await;
        let tries = (0..5).map(|_| try_code(&t, &token, &code));
        let answers = futures_util::future::join_all(tries).await;
        assert_eq!(answers.iter().filter(|answer| answer.status() == 200).count(), 1);
    }

    async fn nobody_is_told_whether_an_address_has_an_account(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let disabled = t.person("gone").await;
        t.sql("UPDATE users SET disabled_at = 1 WHERE id = (SELECT user_id FROM user_emails WHERE canonical = 'gone@example.com')").await;
        let mut shapes = Vec::new();
        for email in [&dana.email, "nobody@example.com", &disabled.email] {
            let answer = t.anonymous().post("/v1/auth/code", json!({ "email": email })).await.expect(200);
            let token = answer.at("/challenge_token");
            shapes.push(answer.text().replace(&token, &"x".repeat(token.len())));
            let wrong = try_code(&t, &token, "000000").await;
            shapes.push(format!("{} {}", wrong.status(), wrong.code()));
        }
        assert_eq!(shapes[..2], shapes[2..4]);
        assert_eq!(shapes[..2], shapes[4..]);
        expect_code(&t, &dana.email, SIGN_IN, 1).await;
        harness::app::eventually("no mail is under way", || async {
            t.number("SELECT COUNT(*) FROM jobs WHERE state = 0").await == 0
        }).await;
        assert!(letters(&t, "nobody@example.com", SIGN_IN).is_empty());
        assert!(letters(&t, &disabled.email, SIGN_IN).is_empty());
    }

    async fn three_codes_go_out_an_hour_and_the_answer_stays_the_same(t: TestApp) {
        let dana = verified(&t, "dana").await;
        let (mut last, mut code) = (String::new(), String::new());
        for n in 1..=3 {
            last = ask(&t, &dana.email).await;
            code = expect_code(&t, &dana.email, SIGN_IN, n).await;
        }
        let beyond = ask(&t, &dana.email).await;
        assert_eq!(t.number("SELECT COUNT(*) FROM mails WHERE template = 'sign_in_code_v1'").await, 3);
        try_code(&t, &beyond, &code).await.problem(401, "invalid_credentials");
        try_code(&t, &last, &code).await.expect(200).ok();
    }

    async fn the_first_to_prove_an_address_is_alone_with_it(t: TestApp) {
        // Somebody registered with an address that is not theirs, and waits for its owner to come.
        let squatter = t.person("dana").await;
        let token = squatter.post("/v1/auth/tokens", json!({ "name": "backdoor" })).await.expect(201).at("/token");
        let challenge = ask(&t, &squatter.email).await;
        let code = expect_code(&t, &squatter.email, SIGN_IN, 1).await;
        let owner = try_code(&t, &challenge, &code).await.expect(200);
        assert_eq!((owner.at("/user/email_verified"), owner.at("/user/has_password")), ("true".into(), "false".into()));
        squatter.get("/v1/auth/me").await.problem(401, "unauthenticated");
        t.anonymous().bearer(&token).get("/v1/auth/me").await.problem(401, "unauthenticated");
        let login = json!({ "email": squatter.email, "password": PASSWORD });
        t.anonymous().post("/v1/auth/login", login).await.problem(401, "invalid_credentials");
        t.anonymous().bearer(&owner.at("/access_token")).get("/v1/auth/me").await.expect(200).ok();
    }

    async fn a_code_does_not_stand_in_for_the_second_factor(t: TestApp) {
        let dana = t.person("dana").await;
        let (generator, _) = Authenticator::enable(dana.client(), &t.clock).await;
        let token = ask(&t, &dana.email).await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 1).await;
        let waiting = try_code(&t, &token, &code).await.expect(200);
        assert_eq!((waiting.at("/mfa_required"), waiting.json().get("access_token")), ("true".into(), None));
        dana.get("/v1/auth/me").await.expect(200).ok();
        let second = json!({ "challenge_token": waiting.at("/challenge_token"), "code": generator.next_code() });
        t.anonymous().post("/v1/auth/2fa/verify", second).await.expect(200).ok();
        let methods = "SELECT COUNT(*) FROM credentials WHERE kind = 'refresh' AND amr LIKE '%code%' AND amr LIKE '%otp%'";
        assert_eq!(t.number(methods).await, 1);
    }

    async fn no_table_holds_a_code_or_a_link(t: TestApp) {
        let dana = t.person("dana").await;
        let code = expect_code(&t, &dana.email, VERIFY, 1).await;
        ask(&t, &dana.email).await;
        t.anonymous().post("/v1/auth/password/forgot", json!({ "email": dana.email })).await.expect(200).ok();
        let link = expect_token(&t, &dana.email, RESET, 1).await;
        let sign_in = expect_code(&t, &dana.email, SIGN_IN, 1).await;
        for secret in [code, sign_in, link.trim_start_matches("srm_lnk_").to_owned()] {
            let places = ["jobs WHERE payload", "mails WHERE data", "mails WHERE address", "challenges WHERE payload", "journal WHERE data"];
            let counts = places.map(|place| format!("(SELECT COUNT(*) FROM {place} LIKE '%{secret}%')"));
            assert_eq!(t.number(&format!("SELECT {}", counts.join(" + "))).await, 0, "{secret}");
        }
    }

    async fn what_is_no_address_is_named(t: TestApp) {
        for path in ["/v1/auth/code", "/v1/auth/password/forgot"] {
            let refused = t.anonymous().post(path, json!({ "email": "dana" })).await.problem(422, "invalid_field");
            assert_eq!(refused.at("/errors/0/field"), "email");
        }
        assert_eq!(t.number("SELECT COUNT(*) FROM mails").await, 0);
    }
}

on_each_backend! {
    async fn a_code_ends_after_ten_minutes(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let token = ask(&t, &dana.email).await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 1).await;
        t.advance(Duration::from_mins(10));
        try_code(&t, &token, &code).await.problem(401, "invalid_credentials");
    }

    async fn an_address_has_ten_tries_an_hour_however_many_codes_it_asks_for(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        for n in 1..=2 {
            let token = ask(&t, &dana.email).await;
            let code = expect_code(&t, &dana.email, SIGN_IN, n).await;
            for _ in 0..5 {
                try_code(&t, &token, &other_than(&code)).await.problem(401, "invalid_credentials");
            }
        }
        let token = ask(&t, &dana.email).await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 3).await;
        try_code(&t, &token, &code).await.problem(401, "invalid_credentials");
        assert_eq!(t.number("SELECT CAST(SUM(attempts) AS BIGINT) FROM challenges WHERE purpose = 'sign_in'").await, 10);
        // Registering is another matter.
        let begun = t.anonymous().post("/v1/auth/register", json!({ "email": "new@example.com" })).await.expect(202);
        let registration = expect_code(&t, "new@example.com", REGISTER, 1).await;
        let proof = json!({ "challenge_token": begun.at("/challenge_token"), "code": registration });
        t.anonymous().post("/v1/auth/register/verify", proof).await.expect(200).ok();
        t.advance(Duration::from_mins(70));
        let token = ask(&t, &dana.email).await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 4).await;
        try_code(&t, &token, &code).await.expect(200).ok();
    }

    async fn tries_at_what_was_never_mailed_use_up_nothing(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let (mut token, mut code) = (String::new(), String::new());
        for n in 1..=3 {
            // Of those that were made at one instant none is the newest.
            t.advance(Duration::from_secs(1));
            token = ask(&t, &dana.email).await;
            code = expect_code(&t, &dana.email, SIGN_IN, n).await;
        }
        for _ in 0..4 {
            let beyond = ask(&t, &dana.email).await;
            for _ in 0..5 {
                try_code(&t, &beyond, &other_than(&code)).await.problem(401, "invalid_credentials");
            }
        }
        try_code(&t, &token, &code).await.expect(200).ok();
    }

    async fn after_an_hour_codes_go_out_again(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        for n in 1..=3 {
            ask(&t, &dana.email).await;
            expect_code(&t, &dana.email, SIGN_IN, n).await;
        }
        ask(&t, &dana.email).await;
        t.advance(Duration::from_hours(1));
        let token = ask(&t, &dana.email).await;
        let code = expect_code(&t, &dana.email, SIGN_IN, 4).await;
        try_code(&t, &token, &code).await.expect(200).ok();
    }

    async fn links_lead_to_the_configured_address_whatever_the_request_says(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_BASE_URL", "https://vault.example.com")).await;
        let base = t.app().base_url.as_str().trim_end_matches('/');
        let evil = t.anonymous().with("Host", "evil.example").with("X-Forwarded-Host", "evil.example");
        let body = json!({ "email": "dana@example.com", "password": PASSWORD });
        evil.post("/v1/auth/register", body).await.expect(201).ok();
        evil.post("/v1/auth/password/forgot", json!({ "email": "dana@example.com" })).await.expect(200).ok();
        for (subject, path) in [(VERIFY, "/verify-email"), (RESET, "/reset-password")] {
            let mail = harness::mailbox::expect_letter(&t, "dana@example.com", subject, 1).await;
            assert_eq!(mail.matches(&format!("{base}{path}#token=")).count(), 2, "{mail}");
            assert!(!mail.contains("evil"), "{mail}");
        }
    }
}
