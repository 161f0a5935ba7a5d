//! What guessing comes up against.

use std::time::Duration;

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{Answer, Authenticator, Backend, Client, TestApp, on_each_backend};
use serde_json::{Value, json};

const WRONG: &str = "wrong horse battery staple";
/// Accounts and names that failures count against.
const SLOWED: &str = "SELECT COUNT(*) FROM throttles WHERE blocked_until IS NOT NULL";

async fn login(client: &Client, name: &str, password: &str) -> Answer {
    client
        .post("/v1/auth/login", json!({ "email": name, "password": password }))
        .await
}

async fn stopped(backend: Backend) -> TestApp {
    let t = TestApp::start(Options::new(backend).stopped_clock()).await;
    t.person("dana").await;
    t
}

/// Status and body, but for what differs with every request.
fn told(answer: &Answer) -> (u16, Value, Option<String>) {
    let mut body = answer.json();
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    (answer.status(), body, answer.header("retry-after").map(str::to_owned))
}

on_each_backend! {
    async fn failures_are_followed_by_growing_delays(backend: Backend) {
        let t = stopped(backend).await;
        let anyone = t.anonymous();
        for delay in [0, 0, 1, 3, 5, 10, 20, 40, 60, 60, 60] {
            login(&anyone, "dana@example.com", WRONG).await.problem(401, "invalid_credentials");
            if delay == 0 {
                continue;
            }
            let slowed = login(&anyone, "dana@example.com", PASSWORD).await.problem(429, "rate_limited");
            assert_eq!(slowed.header("retry-after"), Some(delay.to_string().as_str()));
            t.advance(Duration::from_millis(delay * 1000 - 1));
            login(&anyone, "dana@example.com", PASSWORD).await.problem(429, "rate_limited");
            t.advance(Duration::from_millis(1));
        }
        login(&anyone, "dana@example.com", PASSWORD).await.expect(200).ok();
        for _ in 0..2 {
            login(&anyone, "dana@example.com", WRONG).await.problem(401, "invalid_credentials");
        }
        login(&anyone, "dana@example.com", PASSWORD).await.expect(200).ok();
        assert_eq!(t.number(SLOWED).await, 0, "a success forgives");
    }

    async fn known_and_unknown_names_are_told_the_same_all_along(backend: Backend) {
        let t = stopped(backend).await;
        let anyone = t.anonymous();
        for round in 0..20 {
            let known = told(&login(&anyone, "dana@example.com", WRONG).await);
            let unknown = told(&login(&anyone, "nobody@example.com", WRONG).await);
            assert_eq!(known, unknown, "round {round}");
            t.advance(Duration::from_millis(700));
        }
    }

    async fn the_names_of_an_account_share_one_count_and_so_do_spellings_of_none(backend: Backend) {
        let t = stopped(backend).await;
        t.sql("UPDATE users SET username = 'dana'").await;
        let anyone = t.anonymous();
        let known = ["dana", " DANA@Example.com ", "\u{ff24}ana@example.com", "\u{ff24}ANA"];
        let unknown = ["nobody@example.com", " NOBODY@Example.com ", "\u{ff2e}obody@example.com", "Nobody@example.com"];
        for names in [known, unknown] {
            let mut statuses = Vec::new();
            for name in names {
                statuses.push(login(&anyone, name, WRONG).await.status());
            }
            assert_eq!(statuses, [401, 401, 401, 429], "{names:?}");
        }
        assert_eq!(t.number(SLOWED).await, 2);
    }

    async fn guesses_from_elsewhere_do_not_slow_down_who_signs_in_from_where_they_did_before(backend: Backend) {
        let options = Options::new(backend).stopped_clock().with("STRONGROOM_TRUSTED_PROXIES", "127.0.0.0/8");
        let t = TestApp::start(options).await;
        let from = |ip: &str| t.anonymous().with("X-Forwarded-For", ip);
        let (home, guesser, hotel) = (from("198.51.100.7"), from("203.0.113.9"), from("192.0.2.1"));
        let body = json!({ "email": "dana@example.com", "password": PASSWORD, "transport": "bearer" });
        let dana = home.bearer(&home.post("/v1/auth/register", body).await.expect(201).at("/access_token"));
        for _ in 0..3 {
            login(&guesser, "dana@example.com", WRONG).await.problem(401, "invalid_credentials");
        }
        for elsewhere in [&guesser, &hotel] {
            login(elsewhere, "dana@example.com", PASSWORD).await.problem(429, "rate_limited");
        }
        login(&home, "dana@example.com", PASSWORD).await.expect(200).ok();
        dana.post("/v1/auth/sudo", json!({ "password": PASSWORD })).await.expect(200).ok();
        login(&guesser, "dana@example.com", PASSWORD).await.problem(429, "rate_limited");
        for _ in 0..3 {
            login(&home, "dana@example.com", WRONG).await.problem(401, "invalid_credentials");
        }
        login(&home, "dana@example.com", PASSWORD).await.problem(429, "rate_limited");
    }

    async fn of_a_hundred_passwords_at_once_three_are_looked_at(backend: Backend) {
        let t = stopped(backend).await;
        let anyone = t.anonymous();
        let all = (0..100).map(|_| login(&anyone, "dana@example.com", WRONG));
        let answers = futures_util::future::join_all(all).await;
        let looked_at = answers.iter().filter(|answer| answer.code() == "invalid_credentials").count();
        let slowed = answers.iter().filter(|answer| answer.code() == "rate_limited").count();
        assert_eq!((looked_at, slowed), (3, 97));
    }

    async fn codes_of_the_second_factor_are_slowed_and_the_password_forgives_none(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let (app, _) = Authenticator::enable(dana.client(), &t.clock).await;
        t.advance(Duration::from_secs(30));
        let anyone = t.anonymous();
        let (wrong, mut statuses) = (app.wrong_code(), Vec::new());
        for _ in 0..4 {
            let waiting = login(&anyone, "dana@example.com", PASSWORD).await.expect(200).at("/challenge_token");
            let body = json!({ "challenge_token": waiting, "code": wrong });
            statuses.push(anyone.post("/v1/auth/2fa/verify", body).await.status());
        }
        assert_eq!(statuses, [401, 401, 401, 429]);
        let sudo = dana.post("/v1/auth/sudo", json!({ "code": app.code() })).await;
        sudo.problem(429, "rate_limited");
        t.advance(Duration::from_secs(1));
        dana.post("/v1/auth/sudo", json!({ "code": app.code() })).await.expect(200).ok();
    }

    async fn an_address_may_knock_so_often_a_minute_before_anything_is_read(backend: Backend) {
        let options = Options::new(backend).stopped_clock().with("STRONGROOM_RATE_LIMIT_SCALE", "0.02");
        let t = TestApp::start(options).await;
        let anyone = t.anonymous();
        for remaining in ["5", "4", "3", "2", "1", "0"] {
            let answer = login(&anyone, &format!("{remaining}@example.com"), WRONG).await.problem(401, "invalid_credentials");
            let told = ["limit", "remaining"].map(|name| answer.header(&format!("x-ratelimit-{name}")).map(str::to_owned));
            assert_eq!(told, [Some("6".to_owned()), Some(remaining.to_owned())]);
        }
        let guarded = ["login", "register", "2fa/verify", "token/refresh"].map(|rest| format!("/v1/auth/{rest}"));
        for path in guarded.iter().map(String::as_str).chain(["/v1/invites/srm_inv_x/accept"]) {
            let refused = anyone.send_bytes(reqwest::Method::POST, path, "text/plain", b"not even read".to_vec()).await;
            let refused = refused.problem(429, "rate_limited");
            assert_eq!((refused.header("retry-after"), refused.header("x-ratelimit-remaining")), (Some("10"), Some("0")));
        }
        anyone.get("/v1/setup/status").await.expect(200).ok();
        t.advance(Duration::from_secs(10));
        login(&anyone, "one@example.com", WRONG).await.problem(401, "invalid_credentials");
        login(&anyone, "one@example.com", WRONG).await.problem(429, "rate_limited");
    }
}
