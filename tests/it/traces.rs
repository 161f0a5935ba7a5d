//! Traces: one leads from a request to what comes of it, in whichever process, and holds nothing secret. A collector that is
//! away costs nobody anything.

use std::path::Path;
use std::time::Duration;

use harness::app::{self, Options, eventually};
use harness::client::Credential;
use harness::collector::Collector;
use harness::processes::{self, Installation, Tenant};
use harness::{Backend, Client, Receiver, TestApp, on_each_backend};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::Instant;

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// Its parts.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const PUT_SECRET: &str = "PUT /v1/orgs/{org}/projects/{project}/environments/{env}/secrets/{key}";
/// What anybody may ask.
const STATUS: &str = "/v1/setup/status";
const GET_STATUS: &str = "GET /v1/setup/status";

async fn collector() -> Collector {
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("otlp-collector");
    let started = tokio::task::spawn_blocking(move || Collector::start(&packages));
    started.await.expect("a collector")
}

/// A change that one process answers and whose event another delivers, or the same.
async fn one_trace(installation: Installation, has_worker: bool) {
    let collector = collector().await;
    let installation = installation
        .with("STRONGROOM_OTLP_ENDPOINT", &collector.url)
        .with(
            "STRONGROOM_OTLP_HEADERS",
            "authorization=Bearer%20canary-of-the-collector",
        )
        .with("STRONGROOM_TRACE_CALLERS", "any");
    let api = installation.api().await;
    let worker = if has_worker {
        Some(installation.worker().await)
    } else {
        None
    };
    let receiver = Receiver::start().await;
    let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
    let told = tenant
        .client
        .with("traceparent", GIVEN)
        .with("tracestate", "acme=canary-state");
    let body = json!({ "value": "canary-value" });
    let answer = told.put(&format!("{}CANARY_KEY", tenant.secrets), body).await.ok();
    told.get("/v1/orgs?canary-query=1").await;
    told.get("/nowhere/canary-path").await.problem(404, "not_found");
    let delivered = || {
        receiver
            .received()
            .into_iter()
            .find(|one| one.json()["type"] == "secret.created")
    };
    eventually("the event is delivered", || async { delivered().is_some() }).await;
    let event = delivered().expect("the delivery");
    assert_eq!(api.process.terminate().await, 0);
    if let Some(worker) = &worker {
        assert_eq!(worker.terminate().await, 0);
    }

    let put = collector.span(PUT_SECRET).await;
    assert_eq!((&put["trace"], &put["parent"]), (&TRACE.into(), &CALLER.into()));
    assert_eq!((&put["kind"], &put["status"]), (&"server".into(), &"unset".into()));
    assert_eq!(put["resource"]["service.name"], "strongroom-api");
    let said = &put["attributes"];
    assert_eq!(said["http.request.method"], "PUT");
    assert_eq!(said["http.route"], PUT_SECRET.trim_start_matches("PUT "));
    assert_eq!(said["http.response.status_code"], answer.status());
    assert_eq!(said["strongroom.org_id"], tenant.org_id.to_string());

    let attempts = || {
        let all = collector.named("process webhook").into_iter();
        all.filter(|span| span["trace"] == TRACE).collect::<Vec<_>>()
    };
    eventually("the attempt's span", || async { !attempts().is_empty() }).await;
    let found = attempts();
    let [attempt] = &found[..] else {
        panic!("one delivery is of this trace: {found:#?}");
    };
    assert_eq!((&attempt["parent"], &attempt["kind"]), (&put["id"], &"consumer".into()));
    let service = if has_worker {
        "strongroom-worker"
    } else {
        "strongroom-api"
    };
    assert_eq!(attempt["resource"]["service.name"], service);
    let said = &attempt["attributes"];
    assert_eq!(said["strongroom.event_id"], event.header("webhook-id"));
    assert_eq!(
        (&said["strongroom.outcome"], &said["http.response.status_code"]),
        (&"ok".into(), &204.into())
    );
    // What came of other requests is of other traces.
    assert!(collector.named("process webhook").len() > 1);

    assert_nothing_leaks(&collector, &tenant, &receiver);
    assert!(
        api.process.log().contains(TRACE),
        "log lines of a request lead to its trace"
    );
}

/// Spans hold no secret, no name of a key and nothing of a query, a path or a header, and receivers hear of no trace.
fn assert_nothing_leaks(collector: &Collector, tenant: &Tenant, receiver: &Receiver) {
    let Credential::Bearer(token) = &tenant.client.credential else {
        unreachable!("a tenant shows a token");
    };
    let bytes = collector.bytes();
    let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("http.route") && holds(PUT_SECRET), "what is no secret is found");
    let signing = tenant.signing_secret.as_str();
    for secret in ["canary", "CANARY", "owner-of-acme", token.as_str(), signing] {
        assert!(!holds(secret), "{secret}");
    }
    for span in collector.spans() {
        let is_silent = span["message"].as_str().is_some_and(str::is_empty);
        assert!(is_silent && span["events"] == 0, "{span}");
    }
    for request in collector.requests() {
        assert_eq!(request["authorization"], "Bearer canary-of-the-collector");
    }
    for request in receiver.received() {
        let told = request.headers.keys().find(|name| name.starts_with("trace"));
        assert_eq!(told, None, "{:?}", request.headers);
    }
}

#[test]
fn a_trace_leads_from_a_request_to_its_delivery() {
    processes::run(one_trace(Installation::embedded(), false));
}

#[test]
fn a_trace_leads_from_the_api_to_a_worker_of_its_own() {
    processes::run(async {
        let database = app::postgres_database().await;
        one_trace(Installation::scaled(&database, &app::redis_url()), true).await;
    });
}

on_each_backend! {
    async fn callers_are_believed_as_the_operator_says(backend: Backend) {
        let collector = collector().await;
        let cases = [
            ("trusted", "", false),
            ("trusted", "127.0.0.0/8", true),
            ("none", "127.0.0.0/8", false),
            ("any", "", true),
        ];
        for (n, (callers, proxies, is_believed)) in cases.into_iter().enumerate() {
            let options = Options::new(backend)
                .with("STRONGROOM_OTLP_ENDPOINT", &collector.url)
                .with("STRONGROOM_TRACE_CALLERS", callers)
                .with("STRONGROOM_TRUSTED_PROXIES", proxies);
            let t = TestApp::start(options).await;
            t.anonymous().with("traceparent", GIVEN).get(STATUS).await.expect(200).ok();
            t.stop().await;
            eventually("its span", || async { collector.named(GET_STATUS).len() > n }).await;
            let span = collector.named(GET_STATUS).remove(n);
            let is_given = (span["trace"] == TRACE, span["parent"] == CALLER);
            assert_eq!(is_given, (is_believed, is_believed), "{callers} with proxies {proxies:?}");
        }
    }

    async fn what_is_not_sampled_is_not_sent_and_its_jobs_say_so(backend: Backend) {
        let collector = collector().await;
        let options = Options::new(backend)
            .with("STRONGROOM_OTLP_ENDPOINT", &collector.url)
            .with("STRONGROOM_TRACE_CALLERS", "any")
            .with("STRONGROOM_TRACE_RATIO", "0");
        let t = TestApp::start(options).await;
        // It is mailed.
        t.person("dana").await;
        assert_ne!(t.number("SELECT COUNT(*) FROM jobs WHERE traceparent LIKE '00-%-00'").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM jobs WHERE kind = 'mail' AND traceparent IS NULL").await, 0);
        let quiet = GIVEN.replace("-01", "-00");
        for given in [quiet.as_str(), &GIVEN.to_uppercase(), "nonsense", GIVEN] {
            t.anonymous().with("traceparent", given).get(STATUS).await.expect(200).ok();
        }
        // Nobody sees whether the process lives.
        t.anonymous().with("traceparent", GIVEN).get("/health").await.expect(200).ok();
        t.stop().await;
        collector.span(GET_STATUS).await;
        let spans = collector.spans();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        assert_eq!(spans[0]["parent"], CALLER);
    }

    async fn without_a_collector_jobs_carry_nothing(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_TRACE_CALLERS", "any")).await;
        t.person("dana").await;
        assert_ne!(t.number("SELECT COUNT(*) FROM jobs").await, 0);
        assert_eq!(t.number("SELECT COUNT(*) FROM jobs WHERE traceparent IS NOT NULL").await, 0);
    }
}

/// How long one request takes.
async fn took(client: &Client, path: &str, status: u16) -> Duration {
    let began = Instant::now();
    let _ = client.get(path).await.expect(status);
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A request may take twice as long and a bit, for the noise of a busy machine: what waits for a collector takes seconds.
fn assert_as_fast(before: Duration, after: Duration) {
    assert!(
        after <= before * 2 + Duration::from_millis(2),
        "{before:?} became {after:?}"
    );
}

#[test]
fn a_collector_that_went_away_slows_nothing_and_the_log_tells_of_it_once() {
    processes::run(async {
        let mut collector = collector().await;
        let installation = Installation::embedded().with("STRONGROOM_OTLP_ENDPOINT", &collector.url);
        let api = installation.api().await;
        let client = Client::new(&api.url);
        let mut before = Vec::new();
        for _ in 0..200 {
            before.push(took(&client, STATUS, 200).await);
        }
        collector.span(GET_STATUS).await;
        collector.stop();
        // Several requests to the collector fail meanwhile.
        let (until, mut after) = (Instant::now() + Duration::from_secs(6), Vec::new());
        while Instant::now() < until {
            after.push(took(&client, STATUS, 200).await);
        }
        assert_as_fast(median(before), median(after));
        let began = Instant::now();
        assert_eq!(api.process.terminate().await, 0);
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        let log = api.process.log();
        assert_eq!(log.matches("traces cannot be sent").count(), 1, "{log}");
    });
}

#[test]
fn a_collector_that_never_answers_slows_nothing_and_holds_up_no_end() {
    app::run(async {
        // The kernel takes connections for it.
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", silent.local_addr().expect("an address"));
        let plain = TestApp::spawn(Backend::Sqlite).await;
        let options = Options::new(Backend::Sqlite).with("STRONGROOM_OTLP_ENDPOINT", url);
        let traced = TestApp::start(options).await;
        let (of_plain, of_traced) = (plain.anonymous(), traced.anonymous());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        // More spans than wait anywhere.
        for _ in 0..3000 {
            before.push(took(&of_plain, "/nowhere", 404).await);
            after.push(took(&of_traced, "/nowhere", 404).await);
        }
        assert_as_fast(median(before), median(after));
        let began = Instant::now();
        traced.stop().await;
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        plain.stop().await;
    });
}
