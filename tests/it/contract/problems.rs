//! Every kind of refusal, provoked, in the one shape that all have.

use std::time::Duration;

use harness::app::Options;
use harness::client::{Answer, Client};
use harness::schema::Document;
use harness::{TestApp, on_each_backend};
use reqwest::Method;
use serde_json::{Value, json};

/// Headers that belong to the answer.
const SHOWN: [&str; 4] = ["allow", "www-authenticate", "retry-after", "connection"];

on_each_backend! {
    async fn every_refusal_has_the_full_shape_of_rfc_9457(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let env = acme.project("web").await.env("production");
        let owner = acme.owner.client();
        let secret = env.secret("DB_URL");
        let viewer = acme.member("vera", "viewer").await;
        owner.put(&secret, json!({ "value": "one" })).await.ok();
        let mut seen = Seen::new(&t);

        let broken = owner.send_bytes(Method::POST, "/v1/orgs", "application/json", b"{\"name\":".to_vec()).await;
        seen.problem("create_org", &broken, 400, "malformed_request");
        let twice = owner.with("X-API-Key", "srm_sak_x").get("/v1/orgs").await;
        seen.problem("list_orgs", &twice, 400, "malformed_request");
        seen.problem("list_orgs", &t.anonymous().get("/v1/orgs").await, 401, "unauthenticated");
        let wrong = json!({ "email": acme.owner.email, "password": "wrong horse" });
        seen.problem("login", &t.anonymous().post("/v1/auth/login", wrong).await, 401, "invalid_credentials");
        seen.problem("get_secret", &viewer.get(&secret).await, 403, "forbidden");
        seen.problem("get_org", &owner.get("/v1/orgs/other").await, 404, "not_found");
        seen.edge("unknown path", &owner.get("/v1/nothing/here").await, 404, "not_found");
        seen.edge("wrong method", &owner.put("/v1/orgs", json!({})).await, 405, "method_not_allowed");
        seen.edge("wrong method on a document", &owner.delete("/docs").await, 405, "method_not_allowed");
        let taken = owner.post("/v1/orgs", json!({ "name": "Acme", "slug": "acme" })).await;
        seen.problem("create_org", &taken, 409, "slug_taken");
        let moved = owner.put(&secret, json!({ "value": "two", "expected_version": 7 })).await;
        seen.problem("put_secret", &moved, 412, "version_mismatch");
        let large = owner.put(&secret, json!({ "value": "x".repeat(1024 * 1024) })).await;
        seen.problem("put_secret", &large, 413, "body_too_large");
        let plain = owner.send_bytes(Method::POST, "/v1/orgs", "text/plain", b"name".to_vec()).await;
        seen.problem("create_org", &plain, 415, "unsupported_media_type");
        let empty = owner.post("/v1/orgs", json!({ "name": "" })).await;
        seen.problem("create_org", &empty, 422, "invalid_field");
        let long = owner.get(&format!("/v1/orgs?search={}", "x".repeat(9_000))).await;
        seen.edge("long address", &long, 414, "uri_too_long");
        let padded = owner.with("X-Padding", &"x".repeat(20_000)).get("/v1/orgs").await;
        seen.edge("large headers", &padded, 431, "headers_too_large");
        t.advance(Duration::from_mins(11));
        let old = owner.delete("/v1/orgs/acme").await;
        seen.problem("delete_org", &old, 428, "step_up_required");
        assert_eq!(owner.get("/v1/orgs/acme").await.status(), 200, "it was not deleted");
        insta::assert_json_snapshot!("problems", seen.all);
    }

    async fn hidden_and_absent_are_the_same_bytes(backend: Backend) {
        let t = TestApp::spawn(backend).await;
        let acme = t.org("acme").await;
        let web = acme.project("web").await;
        let stranger: Client = t.person("mallory").await.client().with("X-Request-Id", "the-same-id");
        let body = |answer: Answer| answer.problem(404, "not_found").text();
        let absent = body(stranger.get("/v1/orgs/nowhere").await);
        for path in [acme.path(""), acme.path("/audit-logs"), web.path.clone(), web.env("production").secrets()] {
            assert_eq!(body(stranger.get(&path).await), absent, "{path}");
        }
    }
}

/// The refusals so far, as they will be compared with the committed ones.
struct Seen {
    document: Document,
    all: Vec<Value>,
}

impl Seen {
    fn new(t: &TestApp) -> Self {
        Self {
            document: Document(t.document().clone()),
            all: Vec::new(),
        }
    }

    /// A refusal of an operation: its document must tell of it.
    fn problem(&mut self, operation: &str, answer: &Answer, status: u16, code: &str) {
        self.edge(operation, answer, status, code);
        self.document.assert_answer(operation, answer);
    }

    /// A refusal that no operation gave.
    fn edge(&mut self, what: &str, answer: &Answer, status: u16, code: &str) {
        let answer = answer.clone().problem(status, code);
        let mut body = answer.json();
        body["request_id"] = "[id]".into();
        let headers: Vec<_> = SHOWN
            .iter()
            .filter_map(|name| Some(format!("{name}: {}", answer.header(name)?)))
            .collect();
        assert_eq!(answer.header("allow").is_some(), status == 405, "{what}");
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401, "{what}");
        self.all.push(json!({ "of": what, "headers": headers, "body": body }));
    }
}
