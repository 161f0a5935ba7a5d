#![expect(clippy::unused_async, reason = "poem-openapi takes async operations only")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::kernel::{Error, Problem};
use poem::endpoint::make_sync;
use poem::http::header;
use poem::{EndpointExt, Route};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::{Json, PlainText};
use poem_openapi::{Object, OpenApi, OpenApiService};
use serde_json::Value;

use super::*;
use crate::http::problem::ApiError;

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct NewOrg {
    #[oai(validator(max_length = 8))]
    slug: String,
}

#[derive(Clone, Default)]
struct Api {
    finished: Arc<AtomicUsize>,
}

fn decide() {
    RequestContext::current().unwrap().mark_decided();
}

#[OpenApi(prefix_path = "/v1")]
impl Api {
    #[oai(path = "/orgs", method = "post", operation_id = "create_org")]
    async fn create(&self, body: Json<NewOrg>) -> Result<PlainText<String>, ApiError> {
        decide();
        Ok(PlainText(body.0.slug))
    }

    #[oai(path = "/orgs", method = "get", operation_id = "list_orgs")]
    async fn list(&self, limit: Query<i32>) -> Result<PlainText<String>, ApiError> {
        decide();
        Ok(PlainText(limit.0.to_string()))
    }

    #[oai(path = "/orgs/:org/members/:n", method = "get", operation_id = "get_member")]
    async fn member(&self, org: Path<String>, n: Path<u8>) -> Result<PlainText<String>, ApiError> {
        decide();
        Ok(PlainText(format!("{}{}", org.0, n.0)))
    }

    #[oai(path = "/leak", method = "get", operation_id = "leak")]
    async fn leak(&self) -> PlainText<&'static str> {
        PlainText("hunter2")
    }

    #[oai(path = "/nameless", method = "get")]
    async fn nameless(&self) -> PlainText<&'static str> {
        PlainText("hunter2")
    }

    #[oai(path = "/public", method = "get", operation_id = "get_public")]
    async fn public(&self) -> PlainText<&'static str> {
        PlainText("open")
    }

    #[oai(path = "/fails/:how", method = "post", operation_id = "fail")]
    async fn fail(&self, how: Path<String>) -> Result<PlainText<String>, ApiError> {
        match how.0.as_str() {
            "missing" => Err(Problem::not_found().into()),
            "fault" => Err(Error::internal("dek 7 missing").into()),
            _ => panic!("hunter2"),
        }
    }

    #[oai(path = "/panic", method = "get", operation_id = "panic")]
    async fn panic(&self) -> PlainText<String> {
        panic!("hunter2")
    }

    #[oai(path = "/slow", method = "put", operation_id = "slow")]
    async fn slow(&self) -> PlainText<String> {
        decide();
        tokio::time::sleep(Duration::from_millis(80)).await;
        self.finished.fetch_add(1, Ordering::SeqCst);
        PlainText(RequestContext::current().unwrap().request_id.clone())
    }
}

fn config() -> EdgeConfig {
    EdgeConfig {
        trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
        https: true,
        clock: Clock::system(),
        rng: Rng::seeded(7),
        public: &["get_public"],
        routes: RouteTable::of::<Api>(),
        body: BodyRules::default(),
        class_of: |_| None,
        rate_limit: Arc::new(RateLimit::new(0.0, &Clock::system())),
        metrics: Arc::new(HttpMetrics::new(
            domain::metrics::Registry::default(),
            Arc::new(domain::request_metrics::Recorder::new(
                uuid::Uuid::nil(),
                Clock::system(),
            )),
        )),
        traces: TraceRules::off(),
        draining: CancellationToken::new(),
        changes: TaskTracker::new(),
    }
}

fn app(api: Api, config: EdgeConfig) -> impl Endpoint<Output = Response> {
    let service = OpenApiService::new(api, "Strongroom", "1");
    let routes = Route::new()
        .nest("/", service)
        .at("/docs", poem::get(make_sync(|_| "docs")));
    apply(routes.map_to_response(), config)
}

async fn call(method: &str, path: &str, content_type: &str, body: &'static str) -> Response {
    let mut request = Request::builder().method(method.parse().unwrap()).uri_str(path);
    if !content_type.is_empty() {
        request = request.content_type(content_type);
    }
    app(Api::default(), config()).get_response(request.body(body)).await
}

/// Sends it and checks the shape that every failure has.
async fn problem(method: &str, path: &str, content_type: &str, body: &'static str) -> (u16, Value) {
    let mut response = call(method, path, content_type, body).await;
    let status = response.status().as_u16();
    assert_eq!(
        response.content_type(),
        Some("application/problem+json"),
        "{method} {path}"
    );
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    let id = response.header("x-request-id").unwrap().to_owned();
    let text = response.take_body().into_string().await.unwrap();
    assert!(!text.contains("hunter2") && !text.contains("dek"), "{text}");
    let body: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&body["status"], &body["request_id"]), (&status.into(), &id.into()));
    (status, body)
}

async fn code(method: &str, path: &str, content_type: &str, body: &'static str) -> (u16, String) {
    let (status, body) = problem(method, path, content_type, body).await;
    (status, body["code"].as_str().unwrap().to_owned())
}

const JSON: &str = "application/json";

#[tokio::test]
async fn good_requests_pass_with_every_security_header() {
    let response = call("POST", "/v1/orgs", JSON, r#"{"slug":"acme"}"#).await;
    assert_eq!(response.status(), StatusCode::OK);
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("strict-transport-security", "max-age=31536000"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(response.header(name), Some(value));
    }
    assert!(response.header("permissions-policy").is_some());
    assert_eq!(response.into_body().into_string().await.unwrap(), "acme");
}

#[tokio::test]
async fn what_the_framework_refuses_has_our_shape() {
    for (method, path, content_type, body, expected) in [
        ("POST", "/v1/orgs", JSON, "{", (400, "malformed_request")),
        (
            "POST",
            "/v1/orgs",
            JSON,
            r#"{"slug":"a","slug":"b"}"#,
            (400, "malformed_request"),
        ),
        (
            "POST",
            "/v1/orgs",
            JSON,
            r#"{"slug":"a\u0000"}"#,
            (422, "invalid_field"),
        ),
        (
            "POST",
            "/v1/orgs",
            "text/plain",
            "acme",
            (415, "unsupported_media_type"),
        ),
        ("POST", "/v1/orgs", "", "{}", (415, "unsupported_media_type")),
        ("GET", "/v1/orgs?limit=hunter2", "", "", (422, "invalid_field")),
        ("GET", "/v1/orgs?limit=%ff", "", "", (400, "malformed_request")),
        (
            "GET",
            "/v1/orgs/acme/members/hunter2",
            "",
            "",
            (400, "malformed_request"),
        ),
        ("GET", "/v1//orgs", "", "", (400, "malformed_request")),
        ("GET", "/v1/nothing", "", "", (404, "not_found")),
        ("POST", "/v1/fails/missing", "", "", (404, "not_found")),
        ("POST", "/v1/fails/fault", "", "", (500, "internal")),
        ("POST", "/v1/fails/panic", "", "", (500, "internal")),
        ("GET", "/v1/panic", "", "", (500, "internal")),
    ] {
        let (status, code) = code(method, path, content_type, body).await;
        assert_eq!((status, &*code), expected, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn refused_fields_are_named() {
    for (body, field, reason) in [
        (r#"{"slug":"hunter2hunter2"}"#, "slug", "too_long"),
        (r#"{"slug":"acme","plan":"free"}"#, "plan", "unknown"),
        ("{}", "body", "required"),
        (r#"{"slug":["hunter2"]}"#, "body", "type"),
    ] {
        let (status, problem) = problem("POST", "/v1/orgs", JSON, body).await;
        assert_eq!(status, 422);
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["field"], &error["reason"]),
            (&field.into(), &reason.into()),
            "{body}"
        );
    }
    let (_, missing) = problem("GET", "/v1/orgs", "", "").await;
    assert_eq!(
        (&missing["errors"][0]["field"], &missing["errors"][0]["reason"]),
        (&"limit".into(), &"required".into())
    );
}

#[tokio::test]
async fn methods_without_an_operation_are_405_with_allow() {
    for (method, path, allow) in [
        ("DELETE", "/v1/orgs", "GET, HEAD, POST"),
        ("TRACE", "/v1/orgs", "GET, HEAD, POST"),
        ("OPTIONS", "/v1/orgs/acme/members/1", "GET, HEAD"),
        ("BREW", "/v1/slow", "PUT"),
        ("HEAD", "/v1/slow", "PUT"),
        ("POST", "/docs", "GET, HEAD"),
    ] {
        let response = call(method, path, "", "").await;
        assert_eq!(
            (response.status().as_u16(), response.header("allow")),
            (405, Some(allow)),
            "{method} {path}"
        );
        assert_eq!(response.content_type(), Some("application/problem+json"));
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
    assert_eq!(call("HEAD", "/v1/public", "", "").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn sizes_of_the_head_are_bounded() {
    let long = format!("/v1/orgs?q={}", "x".repeat(8192));
    assert_eq!(code("GET", &long, "", "").await, (414, "uri_too_long".to_owned()));
    let request = Request::builder()
        .uri_str("/v1/public")
        .header("x-pad", "x".repeat(16_384))
        .finish();
    let response = app(Api::default(), config()).get_response(request).await;
    assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn an_answer_without_a_decision_does_not_get_out() {
    assert_eq!(problem("GET", "/v1/leak", "", "").await.0, 500);
    assert_eq!(problem("GET", "/v1/nameless", "", "").await.0, 500);
    assert_eq!(call("GET", "/v1/public", "", "").await.status(), StatusCode::OK);
    assert_eq!(call("GET", "/docs", "", "").await.status(), StatusCode::OK);
    assert_eq!(call("GET", "/v1/orgs?limit=3", "", "").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_change_outlives_its_client_and_keeps_its_context() {
    let (api, config) = (Api::default(), config());
    let (finished, changes) = (api.finished.clone(), config.changes.clone());
    let app = app(api, config);
    let request = || {
        Request::builder()
            .method(Method::PUT)
            .uri_str("/v1/slow")
            .header("x-request-id", "trace-0001")
            .finish()
    };
    let hung_up = tokio::time::timeout(Duration::from_millis(20), app.get_response(request())).await;
    assert!(hung_up.is_err());
    assert_eq!(finished.load(Ordering::SeqCst), 0);
    changes.close();
    changes.wait().await;
    assert_eq!(finished.load(Ordering::SeqCst), 1);

    let response = app.get_response(request()).await;
    assert_eq!(response.header("x-request-id"), Some("trace-0001"));
    assert_eq!(response.header(header::CACHE_CONTROL.as_str()), Some("no-store"));
    assert_eq!(response.into_body().into_string().await.unwrap(), "trace-0001");
}

#[tokio::test]
async fn a_process_that_is_about_to_stop_ends_connections_with_their_next_answer() {
    let config = config();
    let draining = config.draining.clone();
    let app = app(Api::default(), config);
    let request = || Request::builder().uri_str("/v1/public").finish();
    assert_eq!(app.get_response(request()).await.header("connection"), None);
    draining.cancel();
    let last = app.get_response(request()).await;
    assert_eq!(
        (last.status(), last.header("connection")),
        (StatusCode::OK, Some("close"))
    );
}

#[test]
fn every_operation_documents_its_problems() {
    let spec: Value = serde_json::from_str(&OpenApiService::new(Api::default(), "Strongroom", "1").spec()).unwrap();
    let responses = &spec["paths"]["/v1/orgs"]["post"]["responses"];
    for status in ["400", "401", "403", "404", "409", "412", "422", "429", "500", "503"] {
        let schema = &responses[status]["content"]["application/problem+json"]["schema"];
        assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{status}");
    }
    let codes = spec["components"]["schemas"]["ProblemCode"]["enum"].as_array().unwrap();
    assert_eq!(codes.len(), domain::kernel::ProblemCode::ALL.len());
    assert!(
        spec["components"]["schemas"]["Problem"]["properties"]
            .get("others")
            .is_none()
    );
}

#[test]
fn credentials_stay_out_of_logged_paths() {
    assert_eq!(redact("/v1/invites/hunter2"), "/v1/invites/{token}");
    assert_eq!(redact("/v1/invites/hunter2/accept"), "/v1/invites/{token}/…");
    assert_eq!(redact("/v1/orgs"), "/v1/orgs");
    assert_eq!(redact(&format!("/{}", "x".repeat(900))).len(), MAX_LOGGED_PATH);
}
