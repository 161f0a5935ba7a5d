//! Devices that have no browser.

use std::time::Duration;

use harness::app::Options;
use harness::people::PASSWORD;
use harness::{Answer, Client, TestApp, on_both, on_each_backend};
use serde_json::{Value, json};

use super::{DEVICE_GRANT, browser, decides, error, hidden, partner, post, sent};

const CLI: &str = "strongroom-cli";

async fn begin(t: &TestApp, body: Value) -> Answer {
    t.anonymous().post("/v1/auth/device", body).await
}

async fn look(t: &TestApp, client: &str, code: &str) -> Answer {
    let pairs = [
        ("grant_type", DEVICE_GRANT),
        ("device_code", code),
        ("client_id", client),
    ];
    post(&t.anonymous(), "/oauth/token", &pairs).await
}

/// The next look comes when it may.
async fn patient(t: &TestApp) {
    t.sql("UPDATE oauth_devices SET polled_at = 1, pause = 5").await;
}

on_both! {
    async fn our_command_line_acts_for_whoever_approves_it(t: TestApp) {
        let acme = t.org("acme").await;
        let begun = begin(&t, json!({ "device_name": "dana's laptop" })).await.expect(200);
        assert!(begun.at("/device_code").starts_with("srm_dev_"));
        assert_eq!(begun.at("/user_code").len(), 9);
        assert_eq!(begun.at("/verification_uri"), format!("{}/device", t.url));
        let device = begun.at("/device_code");
        error(&look(&t, CLI, &device).await, 400, "authorization_pending");
        let code = begun.at("/user_code");
        let shown = acme.owner.post("/v1/auth/device/approve", json!({ "user_code": code.to_lowercase() })).await.expect(200);
        assert_eq!((shown.at("/client_id"), shown.at("/device_name")), (CLI.into(), "dana's laptop".into()));
        assert_eq!((shown.at("/ip_address"), shown.json()["scopes"].clone()), ("127.0.0.1".into(), json!(["*"])));
        assert!(shown.json().get("decision").is_none());
        let approve = json!({ "user_code": code, "decision": "approve" });
        acme.owner.post("/v1/auth/device/approve", approve.clone()).await.expect(200).ok();
        acme.owner.post("/v1/auth/device/approve", approve).await.problem(404, "not_found");
        patient(&t).await;
        let tokens = look(&t, CLI, &device).await.expect(200);
        let cli = t.anonymous().bearer(&tokens.at("/access_token"));
        assert_eq!(cli.get("/v1/auth/me").await.expect(200).at("/id"), acme.owner.id.to_string());
        cli.get("/v1/orgs/acme").await.expect(200).ok();
        cli.post("/v1/auth/tokens", json!({ "name": "x" })).await.problem(403, "session_required");
        error(&look(&t, CLI, &device).await, 400, "invalid_grant");
        let fresh = tokens.at("/refresh_token");
        let renew = [("grant_type", "refresh_token"), ("refresh_token", fresh.as_str()), ("client_id", CLI)];
        post(&t.anonymous(), "/oauth/token", &renew).await.expect(200).ok();
    }

    async fn a_refused_device_gets_nothing(t: TestApp) {
        let dana = t.person("dana").await;
        let begun = begin(&t, json!({})).await.expect(200);
        let deny = json!({ "user_code": begun.at("/user_code"), "decision": "deny" });
        dana.post("/v1/auth/device/approve", deny).await.expect(200).ok();
        error(&look(&t, CLI, &begun.at("/device_code")).await, 400, "access_denied");
        assert_eq!(t.number("SELECT COUNT(*) FROM credentials WHERE kind LIKE 'oauth%'").await, 0);
    }

    async fn the_page_shows_what_asks_and_takes_the_answer(t: TestApp) {
        let acme = t.org("acme").await;
        let body = json!({ "device_name": "<b>laptop</b>", "scopes": ["secrets:read@dev"] });
        let begun = begin(&t, body).await.expect(200);
        let away = t.anonymous().get("/device?user_code=BCDF-GHJK").await.expect(303);
        assert_eq!(away.header("location"), Some("/sign-in?next=%2Fdevice%3Fuser_code%3DBCDF-GHJK"));
        let window = browser(&t, &acme.owner).await;
        let typing = window.get("/device").await.expect(200).text();
        assert!(typing.contains("name=\"user_code\"") && !typing.contains("<script"), "{typing}");
        assert_eq!(window.get("/device?user_code=BCDF-GHJK").await.status(), 404);
        let path = format!("/device?user_code={}", begun.at("/user_code"));
        let page = window.get(&path).await.expect(200).text();
        for said in ["&lt;b&gt;laptop&lt;/b&gt;", "Strongroom CLI", "127.0.0.1", "<code>secrets:read@dev</code>", "(acme)"] {
            assert!(page.contains(said), "{said}: {page}");
        }
        let evil: Client = window.with("Origin", "https://evil.example");
        assert_eq!(decides(&evil, &path, "approve", &[]).await.status(), 403);
        let done = decides(&window, &path, "approve", &[("org", "acme")]).await.expect(200);
        assert!(done.text().contains("connected"), "{}", done.text());
        let tokens = look(&t, CLI, &begun.at("/device_code")).await.expect(200);
        assert_eq!((tokens.at("/org_id"), tokens.at("/scope")), (acme.id.to_string(), "secrets:read@dev".into()));
        let cli = t.anonymous().bearer(&tokens.at("/access_token"));
        cli.get("/v1/auth/me").await.problem(403, "insufficient_scope");
    }

    async fn partners_devices_ask_by_the_standard_and_for_what_they_may(t: TestApp) {
        let dana = t.person("dana").await;
        let tv = json!({ "name": "TV", "confidential": false, "redirect_uris": [], "grant_types": [DEVICE_GRANT], "scopes": ["openid"] });
        let tv = partner(&dana, tv).await;
        let ask = async |scope: &str| tv.calls(&t, "/oauth/device", &[("scope", scope)]).await;
        error(&ask("").await, 400, "invalid_scope");
        error(&ask("openid secrets:read").await, 400, "invalid_scope");
        begin(&t, json!({ "client_id": tv.id })).await.problem(422, "invalid_field");
        begin(&t, json!({ "client_id": "cli_x" })).await.problem(422, "invalid_field");
        let begun = ask("openid").await.expect(200);
        let approve = json!({ "user_code": begun.at("/user_code"), "decision": "approve" });
        dana.post("/v1/auth/device/approve", approve).await.expect(200).ok();
        error(&look(&t, CLI, &begun.at("/device_code")).await, 400, "invalid_grant");
        let tokens = look(&t, &tv.id, &begun.at("/device_code")).await.expect(200);
        assert!(tokens.json().get("refresh_token").is_none());
        let me = t.anonymous().bearer(&tokens.at("/access_token")).get("/oauth/userinfo").await.expect(200);
        assert_eq!(me.json(), json!({ "sub": dana.id.to_string() }));
        let portal = partner(&dana, json!({})).await;
        error(&portal.calls(&t, "/oauth/device", &[("scope", "openid")]).await, 400, "unauthorized_client");
        assert_eq!(sent(&browser(&t, &dana).await.get(&partner(&dana, json!({ "grant_types": [DEVICE_GRANT] })).await.asks(&[])).await)["error"], "unauthorized_client");
    }
}

on_each_backend! {
    async fn whoever_approves_a_device_has_just_signed_in(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let window = browser(&t, &dana).await;
        t.advance(Duration::from_mins(10) + Duration::from_secs(1));
        let begun = begin(&t, json!({})).await.expect(200);
        let (code, device) = (begun.at("/user_code"), begun.at("/device_code"));
        let decide = async |body: Value| dana.post("/v1/auth/device/approve", body).await;
        let approve = json!({ "user_code": code, "decision": "approve" });
        decide(approve.clone()).await.problem(428, "step_up_required");
        decide(json!({ "user_code": code })).await.expect(200).ok();
        error(&look(&t, CLI, &device).await, 400, "authorization_pending");
        // The page leads to sign in before anything is shown, and back.
        let path = format!("/device?user_code={code}");
        let away = window.get(&path).await.expect(303);
        let back = format!("/sign-in?next=%2Fdevice%3Fuser_code%3D{code}");
        assert_eq!(away.header("location"), Some(back.as_str()));
        dana.post("/v1/auth/sudo", json!({ "password": PASSWORD })).await.expect(200).ok();
        decide(approve).await.expect(200).ok();
        patient(&t).await;
        look(&t, CLI, &device).await.expect(200).ok();
        // To refuse takes nothing.
        t.advance(Duration::from_mins(10) + Duration::from_secs(1));
        let other = begin(&t, json!({})).await.expect(200);
        decide(json!({ "user_code": other.at("/user_code"), "decision": "deny" })).await.expect(200).ok();
        error(&look(&t, CLI, &other.at("/device_code")).await, 400, "access_denied");
    }

    async fn a_sign_in_that_grew_old_over_the_page_is_repeated_and_leads_back(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let window = browser(&t, &dana).await;
        t.advance(Duration::from_mins(5));
        let begun = begin(&t, json!({})).await.expect(200);
        let code = begun.at("/user_code");
        let path = format!("/device?user_code={code}");
        let form = hidden(&window.get(&path).await.expect(200).text())["form"].clone();
        t.advance(Duration::from_mins(6));
        let pairs = [("user_code", code.as_str()), ("form", form.as_str()), ("decision", "approve")];
        let away = post(&window, "/device", &pairs).await.expect(303);
        let back = format!("/sign-in?next=%2Fdevice%3Fuser_code%3D{code}");
        assert_eq!(away.header("location"), Some(back.as_str()));
        error(&look(&t, CLI, &begun.at("/device_code")).await, 400, "authorization_pending");
        let done = decides(&browser(&t, &dana).await, &path, "approve", &[]).await.expect(200);
        assert!(done.text().contains("connected"), "{}", done.text());
    }

    async fn whoever_looks_too_often_waits_longer_and_a_code_ends(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let begun = begin(&t, json!({})).await.expect(200);
        let device = begun.at("/device_code");
        error(&look(&t, CLI, &device).await, 400, "authorization_pending");
        t.advance(Duration::from_secs(4));
        error(&look(&t, CLI, &device).await, 400, "slow_down");
        t.advance(Duration::from_secs(6));
        error(&look(&t, CLI, &device).await, 400, "slow_down");
        t.advance(Duration::from_secs(15));
        error(&look(&t, CLI, &device).await, 400, "authorization_pending");
        t.advance(Duration::from_mins(10));
        error(&look(&t, CLI, &device).await, 400, "expired_token");
        let late = json!({ "user_code": begun.at("/user_code"), "decision": "approve" });
        dana.post("/v1/auth/device/approve", late).await.problem(404, "not_found");
    }
}
