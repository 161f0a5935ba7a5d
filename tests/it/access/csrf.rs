//! A cookie alone changes nothing: other sites' pages can send it too.

use harness::client::Client;
use harness::on_both;
use harness::operations::{Doer, OPERATIONS, Operation};
use harness::people::PASSWORD;
use reqwest::Method;
use serde_json::json;

use super::Stage;

/// A session cookie of the owner.
async fn cookie(stage: &Stage) -> String {
    cookie_of(stage, &stage.world.owner_email).await
}

/// A session cookie of somebody.
async fn cookie_of(stage: &Stage, email: &str) -> String {
    let body = json!({ "email": email, "password": PASSWORD });
    let answer = stage.app.anonymous().post("/v1/auth/login", body).await.expect(200);
    let set = answer.header("set-cookie").expect("a cookie").to_owned();
    let (name, token) = set
        .split(';')
        .next()
        .and_then(|pair| pair.split_once('='))
        .expect("a name and a value");
    assert_eq!(name, "strongroom");
    token.to_owned()
}

/// The operations that do more than to show something, as far as a credential is asked for.
fn guarded(stage: &Stage) -> impl Iterator<Item = &'static Operation> {
    let all = OPERATIONS.iter().filter(|operation| !operation.gate.is_public());
    all.filter(move |operation| stage.endpoint(operation).method != Method::GET)
}

on_both! {
    async fn a_forged_change_is_refused_whatever_it_lacks(t: TestApp) {
        let stage = Stage::new(t).await;
        let cookie = format!("strongroom={}", cookie(&stage).await);
        let (place, base) = (stage.world.production(), stage.app.url.clone());
        let bare = stage.app.anonymous().with("Cookie", &cookie);
        let ours = bare.with("X-Requested-With", "strongroom");
        let clients = [
            ("no X-Requested-With", bare.with("Origin", &base)),
            ("another X-Requested-With", bare.with("Origin", &base).with("X-Requested-With", "XMLHttpRequest")),
            ("no proof of origin", ours.clone()),
            ("a foreign origin", ours.with("Origin", "https://evil.example")),
            ("an opaque origin", ours.with("Origin", "null")),
            ("a cross-site fetch", ours.with("Origin", &base).with("Sec-Fetch-Site", "cross-site")),
            ("a same-site fetch", ours.with("Sec-Fetch-Site", "same-site")),
        ];
        let before = stage.state().await;
        for operation in guarded(&stage) {
            for (lack, client) in &clients {
                let answer = stage.call(client, operation, &place).await;
                let told = (answer.status(), answer.code());
                assert_eq!(told, (403, "csrf_failed".to_owned()), "{} with {lack}", operation.id);
            }
            for form in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"] {
                let method = stage.endpoint(operation).method.clone();
                let client = ours.with("Origin", &base);
                let body = stage.body(operation, &place).unwrap_or_default().to_string().into_bytes();
                let answer = client.send_bytes(method, &stage.path(operation, &place), form, body).await;
                assert!(matches!(answer.status(), 403 | 415), "{} as {form}: {}", operation.id, answer.text());
            }
        }
        assert_eq!(stage.state().await.changed_since(&before), Vec::<&str>::new());
    }

    async fn our_own_page_may_change_everything_with_the_cookie(t: TestApp) {
        let stage = Stage::new(t).await;
        let place = stage.world.production();
        for operation in guarded(&stage) {
            stage.reset(operation).await;
            // The way back to the beginning takes sessions of later along.
            if operation.prepare.is_some() {
                continue;
            }
            let email = match operation.doer {
                Doer::Superuser => &stage.world.superuser.email,
                Doer::Owner | Doer::Outsider | Doer::Invitee => &stage.world.owner_email,
            };
            let client = stage.app.anonymous().cookie(&cookie_of(&stage, email).await);
            let answer = stage.call(&client, operation, &place).await;
            assert_eq!(answer.status(), operation.success, "{}: {}", operation.id, answer.text());
        }
    }

    async fn reading_needs_the_cookie_alone(t: TestApp) {
        let stage = Stage::new(t).await;
        let with = |cookie: String| stage.app.anonymous().with("Cookie", &format!("strongroom={cookie}"));
        let owner = with(cookie(&stage).await);
        let root = with(cookie_of(&stage, &stage.world.superuser.email).await);
        let place = stage.world.production();
        for operation in OPERATIONS.iter().filter(|operation| stage.endpoint(operation).method == Method::GET) {
            stage.set(operation).await;
            let client = if operation.doer == Doer::Superuser { &root } else { &owner };
            let answer = stage.call(client, operation, &place).await;
            assert_eq!(answer.status(), operation.success, "{}: {}", operation.id, answer.text());
        }
    }

    async fn two_credentials_are_one_too_many(t: TestApp) {
        let stage = Stage::new(t).await;
        let client: Client = stage.world.owner.with("X-API-Key", "srm_sak_any");
        let place = stage.world.production();
        let before = stage.state().await;
        for operation in OPERATIONS.iter().filter(|operation| !operation.gate.is_public()) {
            stage.call(&client, operation, &place).await.problem(400, "malformed_request");
        }
        let twice = stage.app.anonymous().with("X-API-Key", "a").with("X-API-Key", "b");
        twice.get("/v1/auth/me").await.problem(400, "malformed_request");
        assert_eq!(stage.state().await.changed_since(&before), Vec::<&str>::new());
    }

    async fn beside_a_header_the_cookie_is_not_read(t: TestApp) {
        let stage = Stage::new(t).await;
        let cookie = format!("strongroom={}", cookie(&stage).await);
        let outsider = &stage.world.outsider;
        // The header's caller, and no proof of origin asked for.
        let made = outsider.with("Cookie", &cookie).post("/v1/auth/tokens", json!({ "name": "mine" })).await;
        made.expect(201).ok();
        assert_eq!(outsider.with("Cookie", &cookie).get("/v1/auth/me").await.at("/email"), outsider.email);
        let anonymous = stage.app.anonymous().with("Cookie", &cookie);
        let (bearer, basic) = (("Authorization", "Bearer no"), ("Authorization", "Basic bm86bm8="));
        for (name, value) in [bearer, basic, ("X-API-Key", "no")] {
            anonymous.with(name, value).get("/v1/auth/me").await.problem(401, "unauthenticated");
        }
    }
}
