//! Requests of a month: told at the limit, refused for changes far above it, never for reads.

use std::time::Duration;

use harness::app::Options;
use harness::{TestApp, on_each_backend};
use serde_json::json;

use super::limit;

on_each_backend! {
    async fn far_above_the_limit_changes_are_refused_until_the_month_is_over_and_reads_never(backend: Backend) {
        let t = TestApp::start(Options::new(backend).stopped_clock()).await;
        let acme = t.org("acme").await;
        let secret = acme.project("web").await.env("staging").secret("A");
        acme.owner.put(&secret, json!({ "value": "1" })).await.ok();
        limit(&t, &acme, "api_requests_month", 10).await;
        let meter = &t.app().meter;
        meter.flush().await.unwrap();
        acme.owner.put(&secret, json!({ "value": "2" })).await.expect(200).ok();
        let stranger = t.person("stranger").await;
        for _ in 0..20 {
            stranger.get(&secret).await.problem(404, "not_found");
        }
        meter.flush().await.unwrap();
        let billing = acme.owner.get(&acme.path("/billing")).await.expect(200).json();
        let used = |billing: &serde_json::Value| {
            let limits = billing["limits"].as_array().unwrap();
            limits.iter().find(|limit| limit["key"] == "api_requests_month").unwrap()["used"].as_i64().unwrap()
        };
        assert!(used(&billing) <= 5, "strangers use up nothing: {billing}");
        for _ in 0..20 {
            acme.owner.get(&secret).await.expect(200).ok();
        }
        meter.flush().await.unwrap();
        let refused = acme.owner.put(&secret, json!({ "value": "3" })).await.problem(429, "rate_limited");
        assert_eq!((refused.at("/limit"), refused.at("/max")), ("api_requests_month".into(), "10".into()));
        assert!(refused.header("retry-after").is_some());
        acme.owner.get(&secret).await.expect(200).ok();
        assert_eq!(acme.owner.get(&secret).await.at("/value"), "2");
        let globex = t.org("globex").await;
        globex.project("vault").await;
        assert!(meter.require_room(acme.id).is_err());
        t.advance(Duration::from_hours(31 * 24));
        assert!(meter.require_room(acme.id).is_ok(), "another month");
    }
}
