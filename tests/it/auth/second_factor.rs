//! The second factor: set up, asked for, and not to be got around.

use std::time::Duration;

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{Answer, Authenticator, Backend, Client, Person, TestApp, on_each_backend};
use serde_json::json;

const STEP: Duration = Duration::from_secs(30);

async fn stopped(backend: Backend) -> (TestApp, Person) {
    let t = TestApp::start(Options::new(backend).stopped_clock()).await;
    let dana = t.person("dana").await;
    (t, dana)
}

/// With a second factor in force, and half a minute later.
async fn protected(backend: Backend) -> (TestApp, Person, Authenticator, Vec<String>) {
    let (t, dana) = stopped(backend).await;
    let (app, codes) = Authenticator::enable(dana.client(), &t.clock).await;
    t.advance(STEP);
    (t, dana, app, codes)
}

async fn login(t: &TestApp, transport: &str) -> Answer {
    let body = json!({ "email": "dana@example.com", "password": PASSWORD, "transport": transport });
    t.anonymous().post("/v1/auth/login", body).await.expect(200)
}

async fn challenge(t: &TestApp) -> String {
    login(t, "bearer").await.at("/challenge_token")
}

async fn verify(client: &Client, challenge: &str, code: &str) -> Answer {
    let body = json!({ "challenge_token": challenge, "code": code });
    client.post("/v1/auth/2fa/verify", body).await
}

async fn is_signed_in(client: &Client) -> bool {
    client.get("/v1/auth/me").await.status() == 200
}

on_each_backend! {
    async fn a_second_factor_is_in_force_from_its_first_code_on(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let app = Authenticator::prepare(dana.client(), &t.clock).await;
        assert_eq!(login(&t, "cookie").await.at("/mfa_required"), "false", "nobody is locked out by a seed never used");
        let wrong = json!({ "code": app.wrong_code() });
        let refused = dana.post("/v1/auth/2fa/enable", wrong).await.problem(422, "invalid_field");
        assert_eq!(refused.at("/errors/0/field"), "code");
        assert_eq!(dana.get("/v1/auth/2fa").await.at("/enabled"), "false");
        let enabled = dana.post("/v1/auth/2fa/enable", json!({ "code": app.code() })).await.expect(200);
        assert_eq!(enabled.json()["recovery_codes"].as_array().map(Vec::len), Some(10));
        let status = dana.get("/v1/auth/2fa").await.expect(200);
        assert_eq!((status.at("/enabled"), status.at("/recovery_codes_left")), ("true".into(), "10".into()));
        dana.post("/v1/auth/2fa/enable", json!({ "code": app.next_code() })).await.problem(409, "conflict");
        dana.post("/v1/auth/2fa/setup", json!({})).await.problem(409, "conflict");
    }

    async fn a_password_alone_opens_no_session(backend: Backend) {
        let (t, dana, app, _) = protected(backend).await;
        let journaled = "SELECT COUNT(*) FROM journal WHERE action = 'session.created'";
        for transport in ["cookie", "bearer"] {
            let waiting = login(&t, transport).await;
            assert_eq!(waiting.header("set-cookie"), None);
            let expected = json!({
                "mfa_required": true, "expires_in": 300, "challenge_token": waiting.at("/challenge_token"),
                "methods": ["totp", "recovery"],
            });
            assert_eq!(waiting.json(), expected);
            let token = waiting.at("/challenge_token");
            assert!(token.starts_with("srm_chl_"), "{token}");
            for client in [t.anonymous().bearer(&token), t.anonymous().cookie(&token)] {
                assert!(!is_signed_in(&client).await);
            }
        }
        assert_eq!(t.number(journaled).await, 0);
        let session = verify(&t.anonymous(), &challenge(&t).await, &app.code()).await.expect(200);
        assert_eq!(session.at("/user/id"), dana.id.to_string());
        assert!(is_signed_in(&t.anonymous().bearer(&session.at("/access_token"))).await);
        assert_eq!(t.number(journaled).await, 1);
    }

    async fn the_session_has_the_transport_that_the_sign_in_asked_for(backend: Backend) {
        let (t, _, app, _) = protected(backend).await;
        let waiting = login(&t, "cookie").await.at("/challenge_token");
        let session = verify(&t.anonymous(), &waiting, &app.code()).await.expect(200);
        let cookie = session.header("set-cookie").unwrap_or_default();
        assert!(cookie.starts_with("strongroom=srm_ses_") && cookie.contains("HttpOnly"), "{cookie}");
        assert!(session.json().get("access_token").is_none());
    }

    async fn a_code_works_once_wherever_it_is_shown(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let (app, _) = Authenticator::enable(dana.client(), &t.clock).await;
        let used = app.code();
        verify(&t.anonymous(), &challenge(&t).await, &used).await.problem(401, "invalid_credentials");
        t.advance(STEP);
        verify(&t.anonymous(), &challenge(&t).await, &used).await.problem(401, "invalid_credentials");
        let fresh = app.code();
        verify(&t.anonymous(), &challenge(&t).await, &fresh).await.expect(200).ok();
        verify(&t.anonymous(), &challenge(&t).await, &fresh).await.problem(401, "invalid_credentials");
    }

    async fn of_ten_who_show_one_code_at_once_one_gets_in(backend: Backend) {
        let (t, _, app, _) = protected(backend).await;
        for _ in 0..5 {
            t.advance(STEP);
            let mut challenges = Vec::new();
            for _ in 0..10 {
                challenges.push(challenge(&t).await);
            }
            let (code, anyone) = (app.code(), t.anonymous());
            let all = challenges.iter().map(|challenge| verify(&anyone, challenge, &code));
            let statuses: Vec<_> = futures_util::future::join_all(all).await.iter().map(Answer::status).collect();
            assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
            t.sql("DELETE FROM throttles").await;
        }
    }

    async fn of_a_thousand_guesses_five_are_looked_at(backend: Backend) {
        let (t, _, app, _) = protected(backend).await;
        let (waiting, wrong) = (challenge(&t).await, app.wrong_code());
        let anyone = t.anonymous();
        let mut looked_at = 0;
        for _ in 0..20 {
            let all = (0..50).map(|_| verify(&anyone, &waiting, &wrong));
            let answers = futures_util::future::join_all(all).await;
            looked_at += answers.iter().filter(|answer| answer.code() == "invalid_credentials").count();
            // Whoever waits out the delays gets no further.
            t.advance(Duration::from_secs(2));
            t.sql("DELETE FROM throttles").await;
        }
        assert_eq!(looked_at, 5);
        assert_eq!(t.number("SELECT COUNT(*) FROM challenges WHERE purpose = 'second_factor' AND attempts = 5").await, 1);
        verify(&anyone, &waiting, &app.code()).await.problem(401, "unauthenticated");
        verify(&anyone, &challenge(&t).await, &app.code()).await.expect(200).ok();
    }

    async fn a_sign_in_waits_five_minutes_and_is_finished_once(backend: Backend) {
        let (t, _, app, _) = protected(backend).await;
        let (one, two) = (challenge(&t).await, challenge(&t).await);
        verify(&t.anonymous(), &one, &app.code()).await.expect(200).ok();
        t.advance(STEP);
        verify(&t.anonymous(), &one, &app.code()).await.problem(401, "unauthenticated");
        t.advance(Duration::from_secs(269));
        verify(&t.anonymous(), &two, &app.wrong_code()).await.problem(401, "invalid_credentials");
        t.advance(Duration::from_secs(1));
        verify(&t.anonymous(), &two, &app.code()).await.problem(401, "unauthenticated");
        for nonsense in ["", "srm_chl_nonsense", "srm_ses_nonsense"] {
            verify(&t.anonymous(), nonsense, &app.code()).await.problem(401, "unauthenticated");
        }
    }

    async fn a_recovery_code_signs_in_once_however_it_is_typed(backend: Backend) {
        let (t, dana, _, codes) = protected(backend).await;
        let typed = format!(" {} ", codes[0].to_lowercase().replace('-', " "));
        verify(&t.anonymous(), &challenge(&t).await, &typed).await.expect(200).ok();
        verify(&t.anonymous(), &challenge(&t).await, &codes[0]).await.problem(401, "invalid_credentials");
        assert_eq!(dana.get("/v1/auth/2fa").await.at("/recovery_codes_left"), "9");
        let mut challenges = Vec::new();
        for _ in 0..8 {
            challenges.push(challenge(&t).await);
        }
        let anyone = t.anonymous();
        let all = challenges.iter().map(|challenge| verify(&anyone, challenge, &codes[1]));
        let answers = futures_util::future::join_all(all).await;
        assert_eq!(answers.iter().filter(|answer| answer.status() == 200).count(), 1);
    }

    async fn new_recovery_codes_end_the_old_ones(backend: Backend) {
        let (t, dana, _, old) = protected(backend).await;
        let made = dana.post("/v1/auth/2fa/recovery-codes", json!({})).await.expect(200).json();
        let new = made["recovery_codes"].as_array().cloned().unwrap_or_default();
        assert_eq!(new.len(), 10);
        assert!(new.iter().all(|code| !old.iter().any(|gone| code == gone)));
        verify(&t.anonymous(), &challenge(&t).await, &old[0]).await.problem(401, "invalid_credentials");
        let code = new[0].as_str().unwrap_or_default();
        verify(&t.anonymous(), &challenge(&t).await, code).await.expect(200).ok();
    }

    async fn switching_it_on_or_off_ends_other_sessions_and_keeps_this_one(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let elsewhere = dana.signs_in_again().await;
        let (app, _) = Authenticator::enable(dana.client(), &t.clock).await;
        assert!(is_signed_in(dana.client()).await && !is_signed_in(elsewhere.client()).await);
        let refresh = json!({ "refresh_token": elsewhere.refresh_token });
        t.anonymous().post("/v1/auth/token/refresh", refresh).await.problem(401, "unauthenticated");
        t.advance(STEP);
        let session = verify(&t.anonymous(), &challenge(&t).await, &app.code()).await.expect(200);
        let elsewhere = t.anonymous().bearer(&session.at("/access_token"));
        let waiting = challenge(&t).await;
        dana.post("/v1/auth/2fa/disable", json!({})).await.expect(204).ok();
        assert!(is_signed_in(dana.client()).await && !is_signed_in(&elsewhere).await);
        t.advance(STEP);
        verify(&t.anonymous(), &waiting, &app.code()).await.problem(401, "unauthenticated");
        assert_eq!(login(&t, "bearer").await.at("/mfa_required"), "false");
        dana.post("/v1/auth/2fa/disable", json!({})).await.problem(409, "conflict");
        dana.post("/v1/auth/2fa/recovery-codes", json!({})).await.problem(409, "conflict");
        assert_eq!(t.number("SELECT COUNT(*) FROM second_factors").await, 0);
    }

    async fn a_session_remembers_how_it_was_opened_when_it_is_prolonged(backend: Backend) {
        let (t, _, app, _) = protected(backend).await;
        let session = verify(&t.anonymous(), &challenge(&t).await, &app.code()).await.expect(200);
        let refresh = json!({ "refresh_token": session.at("/refresh_token") });
        t.anonymous().post("/v1/auth/token/refresh", refresh).await.expect(200).ok();
        let opened = "SELECT COUNT(*) FROM credentials WHERE amr = '[\"pwd\",\"otp\"]' AND kind = 'session'";
        assert_eq!(t.number(opened).await, 3, "this one, what followed it, and the one that switched it on");
    }

    async fn changing_it_takes_a_recent_sign_in_and_a_session(backend: Backend) {
        let (t, dana, _, _) = protected(backend).await;
        let token = dana.token(json!({ "name": "ci" })).await;
        let changes = ["setup", "enable", "disable", "recovery-codes"];
        for change in changes {
            let body = json!({ "code": "000000" });
            token.post(&format!("/v1/auth/2fa/{change}"), body).await.problem(403, "session_required");
        }
        t.advance(Duration::from_mins(10));
        for change in changes {
            let body = json!({ "code": "000000" });
            dana.post(&format!("/v1/auth/2fa/{change}"), body).await.problem(428, "step_up_required");
        }
        assert_eq!(dana.get("/v1/auth/2fa").await.at("/enabled"), "true");
        token.get("/v1/auth/2fa").await.problem(403, "session_required");
    }

    async fn of_two_who_switch_it_on_at_once_one_makes_the_recovery_codes(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let app = Authenticator::prepare(dana.client(), &t.clock).await;
        let (now, next) = (json!({ "code": app.code() }), json!({ "code": app.next_code() }));
        let (one, two) = tokio::join!(dana.post("/v1/auth/2fa/enable", now), dana.post("/v1/auth/2fa/enable", next));
        let mut statuses = [one.status(), two.status()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        assert_eq!(t.number("SELECT COUNT(*) FROM second_factors WHERE kind = 'recovery'").await, 10);
    }

    async fn seeds_and_codes_lie_nowhere_in_clear(backend: Backend) {
        let (t, dana, app, codes) = protected(backend).await;
        verify(&t.anonymous(), &challenge(&t).await, &codes[0]).await.expect(200).ok();
        let hex = app.seed_in_hex();
        let found = match backend {
            Backend::Sqlite => format!("SELECT COUNT(*) FROM second_factors WHERE instr(hex(sealed_secret), '{hex}') > 0"),
            Backend::Postgres => {
                format!("SELECT COUNT(*) FROM second_factors WHERE upper(encode(sealed_secret, 'hex')) LIKE '%{hex}%'")
            }
        };
        assert_eq!(t.number(&found).await, 0);
        let code = codes[0].clone();
        for text in [app.secret.clone(), code.clone(), code.replace('-', "")] {
            let told = format!("SELECT COUNT(*) FROM journal WHERE data LIKE '%{text}%'");
            assert_eq!(t.number(&told).await, 0);
        }
        assert!(!dana.get("/v1/auth/2fa").await.text().contains(&app.secret));
    }

    async fn the_drawing_is_the_uri_and_the_uri_the_seed(backend: Backend) {
        let (_t, dana) = stopped(backend).await;
        let prepared = dana.post("/v1/auth/2fa/setup", json!({})).await.expect(200);
        let (secret, uri) = (prepared.at("/secret"), prepared.at("/otpauth_uri"));
        assert!(uri.starts_with("otpauth://totp/Strongroom:dana%40example.com?"), "{uri}");
        assert!(uri.contains(&format!("secret={secret}")) && uri.contains("issuer=Strongroom"), "{uri}");
        assert_eq!(read(&prepared.at("/qr_svg")), uri);
    }
}

/// Reads a QR code as a camera does: from the drawing.
fn read(svg: &str) -> String {
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let (_, width) = svg.split_once("width=\"").expect("a width");
    let side = number(width.split_once('"').expect("a width").0);
    let mut dark = vec![false; side * side];
    let (_, path) = svg.split_once(" d=\"").expect("a path");
    // `M8 8h7v1H8V8` is a dark rectangle at 8, 8 of 7 by 1.
    for part in path.split('M').skip(1) {
        let (x, rest) = part.split_once(' ').expect("x");
        let (y, rest) = rest.split_once('h').expect("y");
        let (width, rest) = rest.split_once('v').expect("a width");
        let (height, _) = rest.split_once('H').expect("a height");
        let (x, y, width, height) = (number(x), number(y), number(width), number(height));
        for row in y..y + height {
            dark[row * side + x..row * side + x + width].fill(true);
        }
    }
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| if dark[y * side + x] { 0 } else { 255 });
    let grids = image.detect_grids();
    let (_, text) = grids.first().expect("a QR code").decode().expect("a readable QR code");
    text
}
