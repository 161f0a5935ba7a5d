//! Sending a change twice. A key belongs to one caller and one request for 24 hours.

use std::time::Duration;

use futures_util::future::join_all;
use harness::app::Options;
use harness::{Answer, Client, TestApp, on_both, on_each_backend};
use reqwest::Method;
use serde_json::{Value, json};

fn keyed(client: &Client, key: &str) -> Client {
    client.with("Idempotency-Key", key)
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

/// Sends it twice and asserts that the second answer is the first one again.
async fn twice(client: &Client, method: Method, path: &str, body: Option<Value>) -> Answer {
    let client = keyed(client, &format!("{method} {path}").replace(' ', ":"));
    let first = client.send(method.clone(), path, body.clone()).await.ok();
    assert!(!is_replayed(&first));
    let again = client.send(method, path, body).await.ok();
    assert!(is_replayed(&again), "{path}");
    assert_eq!(
        (again.status(), again.bytes()),
        (first.status(), first.bytes()),
        "{path}"
    );
    for header in ["etag", "set-cookie", "content-type"] {
        assert_eq!(again.header(header), first.header(header), "{path}: {header}");
    }
    first
}

async fn rows(t: &TestApp) -> i64 {
    t.number("SELECT COUNT(*) FROM journal WHERE action <> 'secret.read'")
        .await
}

on_both! {
    async fn the_same_request_gets_the_same_answer_and_changes_nothing_more(t: TestApp) {
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let env = web.env("staging");
        let owner = acme.owner.client();
        let before = rows(&t).await;
        let (post, put, patch, delete) = (Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
        let hook = json!({ "url": "https://example.com/", "events": ["*"] });
        let token = twice(owner, post.clone(), "/v1/auth/tokens", Some(json!({ "name": "ci" }))).await;
        let hook = twice(owner, post.clone(), &acme.path("/webhooks"), Some(hook)).await;
        for (method, path, body) in [
            (post.clone(), "/v1/orgs".to_owned(), Some(json!({ "name": "Other" }))),
            (patch.clone(), "/v1/orgs/other".to_owned(), Some(json!({ "name": "Another" }))),
            (delete.clone(), "/v1/orgs/other".to_owned(), None),
            (post.clone(), "/v1/orgs/other/restore".to_owned(), None),
            (post.clone(), acme.path("/projects"), Some(json!({ "name": "API" }))),
            (put.clone(), acme.path("/projects/api"), Some(json!({ "name": "API", "slug": "api" }))),
            (delete.clone(), acme.path("/projects/api"), None),
            (post.clone(), acme.path("/projects/api/restore"), None),
            (post.clone(), format!("{}/environments", web.path), Some(json!({ "name": "qa" }))),
            (patch.clone(), web.env("qa").0, Some(json!({ "protected": true }))),
            (delete.clone(), web.env("qa").0, None),
            (post.clone(), env.secrets(), Some(json!({ "key": "A", "value": "1" }))),
            (put.clone(), env.secret("A"), Some(json!({ "value": "2" }))),
            (delete.clone(), env.secret("A"), None),
            (patch.clone(), acme.path(&format!("/webhooks/{}", hook.at("/id"))), Some(json!({ "enabled": false }))),
            (delete.clone(), acme.path(&format!("/webhooks/{}", hook.at("/id"))), None),
            (delete.clone(), format!("/v1/auth/tokens/{}", token.at("/id")), None),
        ] {
            twice(owner, method, &path, body).await;
        }
        assert_eq!(rows(&t).await, before + 19, "one event each");
    }

    async fn a_token_that_never_arrived_is_shown_again(t: TestApp) {
        let dana = t.person("dana").await;
        let first = twice(&dana, Method::POST, "/v1/auth/tokens", Some(json!({ "name": "ci" }))).await;
        assert!(first.at("/token").starts_with("srm_pat_"));
        assert_eq!(dana.get("/v1/auth/tokens").await.at("/pagination/total"), "1");
        dana.bearer(&first.at("/token")).get("/v1/auth/me").await.expect(200).ok();
        let tail = first.at("/token").trim_start_matches("srm_pat_").to_owned();
        let stored: Vec<u8> = sealed_answer(&t).await;
        assert!(!String::from_utf8_lossy(&stored).contains(&tail), "it lies sealed in the database");
    }

    async fn a_sign_up_and_a_sign_in_are_repeated_too(t: TestApp) {
        let body = json!({ "email": "dana@example.com", "password": harness::people::PASSWORD, "transport": "bearer" });
        twice(&t.anonymous(), Method::POST, "/v1/auth/register", Some(body.clone())).await;
        twice(&t.anonymous(), Method::POST, "/v1/auth/login", Some(body)).await;
        assert_eq!(t.number("SELECT COUNT(*) FROM users").await, 1);
        assert_eq!(t.number("SELECT COUNT(*) FROM credentials WHERE kind = 'session'").await, 2);
    }

    async fn a_key_belongs_to_one_request(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("staging");
        let owner = keyed(&acme.owner, "key-1");
        owner.put(&env.secret("A"), json!({ "value": "1" })).await.expect(201).ok();
        for refused in [
            owner.put(&env.secret("A"), json!({ "value": "2" })).await,
            owner.put(&env.secret("B"), json!({ "value": "1" })).await,
            owner.delete(&env.secret("A")).await,
            owner.post(&env.secrets(), json!({ "key": "B", "value": "1" })).await,
        ] {
            refused.problem(409, "idempotency_key_reused");
        }
        assert_eq!(acme.owner.get(&env.keys()).await.json()["data"].as_array().map(Vec::len), Some(1));
        assert_eq!(owner.get(&env.secret("A")).await.expect(200).at("/value"), "1", "a read takes no key");
    }

    async fn a_key_belongs_to_one_caller(t: TestApp) {
        let (dana, eve) = (t.person("dana").await, t.person("eve").await);
        let body = json!({ "name": "ci" });
        let of_dana = keyed(&dana, "same").post("/v1/auth/tokens", body.clone()).await.expect(201);
        let of_eve = keyed(&eve, "same").post("/v1/auth/tokens", body.clone()).await.expect(201);
        assert!(!is_replayed(&of_eve) && of_eve.at("/token") != of_dana.at("/token"));
        keyed(&t.anonymous(), "same").post("/v1/auth/tokens", body.clone()).await.problem(401, "unauthenticated");
        keyed(&dana.bearer("srm_ses_x"), "same").post("/v1/auth/tokens", body).await.problem(401, "unauthenticated");
    }

    async fn what_was_refused_may_be_tried_again_with_the_same_key(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("staging");
        let owner = keyed(&acme.owner, "key-1");
        owner.delete(&env.secret("A")).await.problem(404, "not_found");
        acme.owner.put(&env.secret("A"), json!({ "value": "1" })).await.ok();
        owner.delete(&env.secret("A")).await.expect(200).ok();
        assert!(is_replayed(&owner.delete(&env.secret("A")).await.expect(200)));
    }

    async fn a_key_is_1_to_255_printable_characters_and_one(t: TestApp) {
        let dana = t.person("dana").await;
        let body = json!({ "name": "ci" });
        for key in ["", "with space", "t\u{e9}", &"k".repeat(256)] {
            keyed(&dana, key).post("/v1/auth/tokens", body.clone()).await.problem(422, "invalid_field");
        }
        keyed(&keyed(&dana, "a"), "b").post("/v1/auth/tokens", body.clone()).await.problem(400, "malformed_request");
        keyed(&dana, &"k".repeat(255)).post("/v1/auth/tokens", body).await.expect(201).ok();
        assert_eq!(dana.get("/v1/auth/tokens").await.at("/pagination/total"), "1");
    }

    async fn sixteen_at_once_make_one_change_and_sixteen_equal_answers(t: TestApp) {
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("staging");
        for key in ["GONE", "GUARDED"] {
            acme.owner.put(&env.secret(key), json!({ "value": "1" })).await.ok();
        }
        let hook = json!({ "url": "https://example.com/", "events": ["*"] });
        for (method, path, body) in [
            (Method::POST, "/v1/auth/tokens".to_owned(), Some(json!({ "name": "ci" }))),
            (Method::POST, "/v1/orgs".to_owned(), Some(json!({ "name": "Other" }))),
            (Method::POST, acme.path("/webhooks"), Some(hook)),
            (Method::POST, env.secrets(), Some(json!({ "key": "NEW", "value": "1" }))),
            (Method::PUT, env.secret("PUT"), Some(json!({ "value": "1" }))),
            (Method::PUT, env.secret("GUARDED"), Some(json!({ "value": "2", "expected_version": 1 }))),
            (Method::DELETE, env.secret("GONE"), None),
        ] {
            let before = rows(&t).await;
            let client = keyed(&acme.owner, &format!("{method}:{path}"));
            let attempts = (0..16).map(|_| client.send(method.clone(), &path, body.clone()));
            let answers = join_all(attempts).await;
            let first = answers.iter().find(|answer| !is_replayed(answer)).cloned();
            let Some(first) = first else { return assert!(!answers.is_empty(), "one made the change") };
            for answer in &answers {
                assert_eq!((answer.status(), answer.text()), (first.status(), first.text()), "{method} {path}");
            }
            let _ = first.ok();
            assert_eq!(answers.iter().filter(|answer| !is_replayed(answer)).count(), 1, "{method} {path}");
            assert_eq!(rows(&t).await, before + 1, "{method} {path}");
        }
    }
}

on_each_backend! {
    async fn an_answer_is_kept_for_a_day(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let dana = t.person("dana").await;
        let ci = dana.token(json!({ "name": "ci" })).await;
        let path = format!("/v1/orgs/{}/webhooks", dana.personal_org);
        let body = json!({ "url": "https://hooks.example.com/acme", "events": ["*"] });
        let first = keyed(&ci, "k").post(&path, body.clone()).await.expect(201);
        t.advance(Duration::from_secs(24 * 3600 - 1));
        let kept = keyed(&ci, "k").post(&path, body.clone()).await.expect(201);
        assert!(is_replayed(&kept) && kept.at("/secret") == first.at("/secret"));
        t.advance(Duration::from_secs(1));
        let anew = keyed(&ci, "k").post(&path, body).await.expect(201);
        assert!(!is_replayed(&anew) && anew.at("/secret") != first.at("/secret"));
        let other = json!({ "url": "https://hooks.example.com/other", "events": ["*"] });
        keyed(&ci, "k").post(&path, other).await.problem(409, "idempotency_key_reused");
    }
}

/// The one stored answer, as it lies in the database.
async fn sealed_answer(t: &TestApp) -> Vec<u8> {
    use domain::kernel::Reads;
    use sea_orm::ConnectionTrait;
    let query = t.db().sql("SELECT sealed FROM idempotent_responses", []);
    let row = t.db().conn().query_one_raw(query).await.ok().flatten();
    row.and_then(|row| row.try_get_by_index(0).ok()).unwrap_or_default()
}
