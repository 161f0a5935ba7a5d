//! Signing in, and proving that a change comes from our own page.

use harness::people::PASSWORD;
use harness::{Answer, Client, TestApp, on_both};
use serde_json::{Value, json};

async fn login(t: &TestApp, name: &str, password: &str) -> Answer {
    t.anonymous()
        .post("/v1/auth/login", json!({ "email": name, "password": password }))
        .await
}

/// Signs in as a browser does; returns the cookie's token.
pub async fn cookie_of(t: &TestApp, email: &str) -> String {
    cookie_in(&login(t, email, PASSWORD).await.expect(200))
}

/// The token of the cookie that an answer sets; empty when it sets none.
pub fn cookie_in(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie").unwrap_or_default();
    let token = cookie
        .strip_prefix("strongroom=")
        .and_then(|rest| rest.split(';').next());
    token.unwrap_or_default().to_owned()
}

fn without_request_id(answer: &Answer) -> Value {
    let mut body = answer.json();
    if let Some(members) = body.as_object_mut() {
        members.remove("request_id");
    }
    body
}

on_both! {
    async fn an_address_signs_in_however_it_is_written(t: TestApp) {
        let dana = t.person("dana").await;
        for name in ["dana@example.com", "DANA@EXAMPLE.COM", " Dana@example.com "] {
            let answer = login(&t, name, PASSWORD).await.expect(200);
            assert_eq!(answer.at("/user/id"), dana.id.to_string());
            assert!(answer.json().get("org").is_none());
        }
        let journaled = "SELECT COUNT(*) FROM journal WHERE action = 'session.created'";
        assert_eq!(t.number(journaled).await, 3);
    }

    async fn a_wrong_password_and_an_unknown_address_are_told_alike(t: TestApp) {
        t.person("dana").await;
        let wrong = login(&t, "dana@example.com", "correct horse battery stapler").await.problem(401, "invalid_credentials");
        let unknown = login(&t, "nobody@example.com", PASSWORD).await.problem(401, "invalid_credentials");
        let no_address = login(&t, "nobody", PASSWORD).await.problem(401, "invalid_credentials");
        assert_eq!(without_request_id(&wrong), without_request_id(&unknown));
        assert_eq!(without_request_id(&wrong), without_request_id(&no_address));
        assert_eq!(t.number("SELECT COUNT(*) FROM journal WHERE action = 'session.created'").await, 0);
    }

    async fn a_disabled_account_is_told_what_a_wrong_password_is_told(t: TestApp) {
        let dana = t.person("dana").await;
        let wrong = login(&t, "dana@example.com", "correct horse battery stapler").await.expect(401);
        t.sql("UPDATE users SET disabled_at = 1").await;
        let disabled = login(&t, "dana@example.com", PASSWORD).await.problem(401, "invalid_credentials");
        assert_eq!(without_request_id(&wrong), without_request_id(&disabled));
        dana.get("/v1/auth/me").await.problem(401, "unauthenticated");
    }

    async fn a_cookie_changes_things_only_with_the_proof_of_our_own_page(t: TestApp) {
        t.person("dana").await;
        let token = cookie_of(&t, "dana@example.com").await;
        let bare = t.anonymous().with("Cookie", &format!("strongroom={token}"));
        let body = json!({ "name": "Acme" });
        bare.get("/v1/auth/me").await.expect(200).ok();
        let refused = |client: Client| { let body = body.clone(); async move { client.post("/v1/orgs", body).await } };
        refused(bare.clone()).await.problem(403, "csrf_failed");
        let requested = bare.with("X-Requested-With", "strongroom");
        refused(requested.clone()).await.problem(403, "csrf_failed");
        refused(bare.with("Origin", &t.url)).await.problem(403, "csrf_failed");
        refused(requested.with("Origin", "https://evil.example")).await.problem(403, "csrf_failed");
        refused(requested.with("Origin", &t.url).with("Sec-Fetch-Site", "cross-site")).await.problem(403, "csrf_failed");
        assert_eq!(t.number("SELECT COUNT(*) FROM orgs").await, 1);
        requested.with("Origin", &t.url).post("/v1/orgs", body.clone()).await.expect(201).ok();
    }

    async fn a_cookie_session_ends_at_sign_out(t: TestApp) {
        t.person("dana").await;
        let browser = t.anonymous().cookie(&cookie_of(&t, "dana@example.com").await);
        let other = t.anonymous().cookie(&cookie_of(&t, "dana@example.com").await);
        let out = browser.post("/v1/auth/logout", json!({})).await.expect(204);
        let cookie = out.header("set-cookie").unwrap_or_default();
        assert!(cookie.starts_with("strongroom=;") && cookie.contains("Max-Age=0"), "{cookie}");
        browser.get("/v1/auth/me").await.problem(401, "unauthenticated");
        other.get("/v1/auth/me").await.expect(200).ok();
    }

    async fn a_header_given_the_cookie_is_not_read(t: TestApp) {
        let (dana, eve) = (t.person("dana").await, t.person("eve").await);
        let cookie = format!("strongroom={}", cookie_of(&t, "eve@example.com").await);
        let both = dana.with("Cookie", &cookie).get("/v1/auth/me").await.expect(200);
        assert_eq!(both.at("/id"), dana.id.to_string());
        let broken = eve.bearer("srm_ses_nonsense").with("Cookie", &cookie);
        broken.get("/v1/auth/me").await.problem(401, "unauthenticated");
        dana.with("X-API-Key", "srm_sak_x").get("/v1/auth/me").await.problem(400, "malformed_request");
    }

    async fn a_token_works_in_its_own_place_only(t: TestApp) {
        let dana = t.person("dana").await;
        let cookie = cookie_of(&t, "dana@example.com").await;
        let personal = dana.post("/v1/auth/tokens", json!({ "name": "ci" })).await.expect(201).at("/token");
        t.anonymous().cookie(&personal).get("/v1/auth/me").await.problem(401, "unauthenticated");
        t.anonymous().api_key(&personal).get("/v1/auth/me").await.problem(401, "unauthenticated");
        t.anonymous().bearer(&dana.refresh_token).get("/v1/auth/me").await.problem(401, "unauthenticated");
        t.anonymous().bearer(&cookie).get("/v1/auth/me").await.expect(200).ok();
    }
}
