//! Confirming that it is still the same person, before a dangerous act.

use std::time::Duration;

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{Authenticator, Backend, Person, TestApp, on_each_backend};
use serde_json::{Value, json};

const LATER: Duration = Duration::from_mins(11);

async fn stopped(backend: Backend) -> (TestApp, Person) {
    let t = TestApp::start(Options::new(backend).stopped_clock()).await;
    let dana = t.person("dana").await;
    (t, dana)
}

async fn sudo(dana: &Person, body: Value) -> harness::Answer {
    dana.post("/v1/auth/sudo", body).await
}

/// Whether a dangerous act is open: one that changes nothing that matters here.
async fn may_do_the_dangerous(dana: &Person) -> bool {
    let answer = dana.post("/v1/auth/2fa/setup", json!({})).await;
    assert!(matches!(answer.status(), 200 | 409 | 428), "{}", answer.text());
    answer.status() != 428
}

on_each_backend! {
    async fn the_password_opens_dangerous_acts_for_ten_minutes(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        t.advance(LATER);
        assert!(!may_do_the_dangerous(&dana).await);
        let refused = sudo(&dana, json!({ "password": "wrong horse" })).await.problem(401, "invalid_credentials");
        assert!(!refused.text().contains("wrong horse"));
        assert!(!may_do_the_dangerous(&dana).await);
        let confirmed = sudo(&dana, json!({ "password": PASSWORD })).await.expect(200);
        assert_eq!(confirmed.at("/confirmed_until"), "2030-01-02T03:25:05.000Z");
        t.advance(Duration::from_mins(10));
        assert!(may_do_the_dangerous(&dana).await);
        t.advance(Duration::from_secs(1));
        assert!(!may_do_the_dangerous(&dana).await);
    }

    async fn a_confirmation_is_for_one_session_and_outlives_its_access_token(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let elsewhere = dana.signs_in_again().await;
        t.advance(Duration::from_mins(55));
        sudo(&dana, json!({ "password": PASSWORD })).await.expect(200).ok();
        assert!(may_do_the_dangerous(&dana).await && !may_do_the_dangerous(&elsewhere).await);
        t.advance(Duration::from_mins(6));
        let refresh = json!({ "refresh_token": dana.refresh_token });
        let traded = t.anonymous().post("/v1/auth/token/refresh", refresh).await.expect(200);
        let dana = dana.with_tokens(&traded.at("/access_token"), &traded.at("/refresh_token"));
        assert!(may_do_the_dangerous(&dana).await, "the proof goes along");
    }

    async fn with_a_second_factor_the_password_is_not_enough(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        let (app, codes) = Authenticator::enable(dana.client(), &t.clock).await;
        t.advance(LATER);
        let refused = sudo(&dana, json!({ "password": PASSWORD })).await.problem(401, "invalid_credentials");
        assert_eq!(refused.json()["methods"], json!(["totp", "recovery"]));
        sudo(&dana, json!({ "code": app.wrong_code() })).await.problem(401, "invalid_credentials");
        assert!(!may_do_the_dangerous(&dana).await);
        let code = json!({ "code": app.code() });
        sudo(&dana, code.clone()).await.expect(200).ok();
        sudo(&dana, code).await.problem(401, "invalid_credentials");
        assert!(may_do_the_dangerous(&dana).await);
        t.advance(LATER);
        sudo(&dana, json!({ "code": codes[0] })).await.expect(200).ok();
        assert!(may_do_the_dangerous(&dana).await);
    }

    async fn what_the_account_can_show_is_said(backend: Backend) {
        let (t, dana) = stopped(backend).await;
        for body in [json!({}), json!({ "code": "123456" })] {
            let refused = sudo(&dana, body).await.problem(401, "invalid_credentials");
            assert_eq!(refused.json()["methods"], json!(["password"]));
        }
        t.sql("UPDATE users SET password_hash = NULL").await;
        let refused = sudo(&dana, json!({ "password": PASSWORD })).await.problem(401, "invalid_credentials");
        assert_eq!(refused.json()["methods"], json!(["code"]));
        let token = dana.token(json!({ "name": "ci" })).await;
        token.post("/v1/auth/sudo", json!({ "password": PASSWORD })).await.problem(403, "session_required");
    }
}
