//! What is counted of requests, for the instance's administrators and for Prometheus.

use std::time::Duration;

use domain::kernel::Clock;
use domain::request_metrics::Recorder;
use harness::app::Options;
use harness::{Client, TestApp, on_each_backend};
use serde_json::Value;
use uuid::Uuid;

static NOTHING: Value = Value::Null;
const SUMMARY: &str = "/v1/admin/metrics/summary";

/// An application whose clock stands still, and somebody who looks after it.
async fn stopped(options: Options) -> (TestApp, Client) {
    let t = TestApp::start(options.stopped_clock()).await;
    let root = t.person("root").await.client().clone();
    t.sql("UPDATE users SET is_superuser = TRUE WHERE first_name = 'root'")
        .await;
    (t, root)
}

async fn summary(root: &Client, hours: u32) -> Value {
    root.get(&format!("{SUMMARY}?hours={hours}")).await.expect(200).json()
}

/// The figures of a route.
fn of_route<'a>(summary: &'a Value, method: &str, route: &str) -> &'a Value {
    let routes = summary["by_route"].as_array().expect("routes");
    let found = routes
        .iter()
        .find(|each| each["method"] == method && each["route"] == route);
    found.map_or(&NOTHING, |each| &each["figures"])
}

/// Another process of the same instance, which answered so many requests of so many milliseconds.
async fn another_process(t: &TestApp, n: u128, status: u16, times: &[u64]) -> Recorder {
    let process = Recorder::new(Uuid::from_u128(n), t.clock.clone());
    for millis in times {
        process.record("GET", "/v1/orgs/{org}", status, Duration::from_millis(*millis));
    }
    process.flush(t.db()).await.expect("write it down");
    process
}

on_each_backend! {
    async fn requests_are_summed_up_by_route_status_and_hour(backend: Backend) {
        let (t, root) = stopped(Options::new(backend)).await;
        let before = summary(&root, 1).await["totals"]["requests"].as_u64().expect("a number");
        for (path, status) in [("/v1/orgs/nowhere", 404), ("/v1/orgs/root", 200), ("/nowhere/at/all", 404)] {
            assert_eq!(root.get(path).await.status(), status);
        }
        for probe in ["/health", "/ready"] {
            root.get(probe).await.expect(200).ok();
        }
        let shown = summary(&root, 1).await;
        // What was asked before is counted, and this question is not answered yet.
        assert_eq!(shown["totals"]["requests"], before + 1 + 3);
        let org = of_route(&shown, "GET", "/v1/orgs/{org}");
        assert_eq!((&org["requests"], &org["errors_4xx"], &org["errors_5xx"]), (&2.into(), &1.into(), &0.into()));
        assert_eq!(of_route(&shown, "GET", "_unmatched")["requests"], 1);
        assert_eq!(of_route(&shown, "GET", "/health"), &NOTHING);
        assert_eq!(shown["by_status"]["status_4xx"], 2);
        assert_eq!((&shown["instances"], &shown["hours"]), (&1.into(), &1.into()));
        assert!(shown["totals"]["p50_ms"].as_f64() <= shown["totals"]["p99_ms"].as_f64());
        assert!(!shown.to_string().contains("nowhere"), "no path that a client wrote");

        // It is four minutes past the hour.
        t.advance(Duration::from_mins(56));
        let later = summary(&root, 24).await;
        let timeline = later["timeline"].as_array().expect("hours");
        assert_eq!((timeline.len(), &later["timeline"][23]["figures"]["requests"]), (24, &0.into()));
        assert_eq!(later["timeline"][22]["figures"]["requests"], before + 1 + 3 + 1);
        assert_eq!(later["coverage"]["missing_hours"].as_array().map(Vec::len), Some(23));
        assert_eq!(later["totals"]["requests"], before + 1 + 3 + 1);
    }

    async fn all_processes_add_up_to_one(backend: Backend) {
        let (t, root) = stopped(Options::new(backend)).await;
        let times: Vec<u64> = (1..=300).collect();
        let (first, rest) = times.split_at(100);
        let (second, third) = rest.split_at(100);
        let process = another_process(&t, 1, 200, first).await;
        another_process(&t, 2, 200, second).await;
        another_process(&t, 3, 503, third).await;
        // Written twice, counted once.
        process.record("GET", "/v1/orgs/{org}", 200, Duration::from_millis(1));
        process.flush(t.db()).await.expect("write it down");
        process.flush(t.db()).await.expect("write it down");
        let shown = summary(&root, 24).await;
        let org = of_route(&shown, "GET", "/v1/orgs/{org}");
        assert_eq!((&org["requests"], &org["errors_5xx"]), (&301.into(), &100.into()));
        for (name, exact) in [("p50_ms", 150.0), ("p90_ms", 270.0), ("p95_ms", 285.0), ("p99_ms", 297.0)] {
            let found = org[name].as_f64().expect("a number");
            assert!((found - exact).abs() <= exact * 0.09, "{name}: {found}");
        }
        assert_eq!(org["max_ms"], 300.0);
        let rate = org["error_rate"].as_f64().expect("a number");
        assert!((rate - 100.0 / 301.0).abs() < 1e-9, "{rate}");
        assert_eq!(shown["instances"], 4);
        assert_eq!(shown["by_route"][0]["route"], "/v1/orgs/{org}", "what takes most of the time comes first");
    }

    async fn only_a_superuser_sees_it_and_for_a_week_at_most(backend: Backend) {
        let (t, root) = stopped(Options::new(backend)).await;
        let dana = t.person("dana").await;
        dana.get(SUMMARY).await.problem(403, "forbidden");
        root.get(SUMMARY).await.expect(200).ok();
        for hours in ["0", "169", "-1"] {
            let refused = root.get(&format!("{SUMMARY}?hours={hours}")).await.problem(422, "invalid_field");
            assert_eq!((refused.at("/errors/0/field"), refused.at("/errors/0/reason")), ("hours".to_owned(), "range".to_owned()));
        }
        for hours in [1, 168] {
            let shown = summary(&root, hours).await;
            assert_eq!(shown["timeline"].as_array().map(Vec::len), usize::try_from(hours).ok());
        }
    }

    async fn what_is_in_memory_is_written_down_at_the_end(backend: Backend) {
        let t = TestApp::start(Options::new(backend)).await;
        for _ in 0..5 {
            t.anonymous().get("/v1/setup/status").await.expect(200).ok();
        }
        // As the process does when it stops.
        t.app().requests.flush(t.db()).await.expect("write it down");
        let rows = t.number("SELECT CAST(SUM(requests) AS bigint) FROM request_metrics WHERE route = '/v1/setup/status'").await;
        assert_eq!(rows, 5);
        let process = Recorder::new(Uuid::from_u128(9), Clock::system());
        assert_eq!(process.flush(t.db()).await.expect("nothing to write"), 0);
    }

    async fn old_hours_are_deleted(backend: Backend) {
        let (t, _) = stopped(Options::new(backend)).await;
        another_process(&t, 1, 200, &[1]).await;
        t.advance(Duration::from_hours(8 * 24 + 2));
        another_process(&t, 2, 200, &[1]).await;
        let tx = t.db().begin_write().await.expect("open a transaction");
        assert_eq!(domain::request_metrics::prune(&tx).await.expect("prune"), 1);
        tx.commit_bookkeeping().await.expect("commit");
    }

    async fn prometheus_has_a_listener_of_its_own(backend: Backend) {
        let t = TestApp::start(Options::new(backend).with("STRONGROOM_METRICS_LISTEN", "127.0.0.1:0")).await;
        t.org("canary-tenant").await.owner.get("/v1/orgs/canary-tenant").await.expect(200).ok();
        let url = t.metrics_url().expect("a listener");
        let (origin, path) = url.split_at(url.len() - "/metrics".len());
        let page = Client::new(origin).get(path).await.expect(200);
        assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let text = page.text();
        let counted = "http_server_request_duration_seconds_count{http_request_method=\"GET\",http_route=\"/v1/orgs/{org}\",http_response_status_code=\"200\"} 1";
        assert!(text.lines().any(|line| line == counted), "{text}");
        assert!(text.contains("http_server_active_requests{http_request_method=\"GET\"} 0"), "{text}");
        assert!(text.contains("strongroom_build_info{version="), "{text}");
        assert!(!text.contains("canary"), "nothing of a tenant's: {text}");
        assert_eq!(Client::new(origin).get("/v1/setup/status").await.status(), 404, "and that has no API");
        assert_eq!(t.anonymous().get("/metrics").await.status(), 404, "the API has none");
    }
}
