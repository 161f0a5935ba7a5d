//! What is counted of every request, in the names of OpenTelemetry's conventions. No label carries what a client chose:
//! routes are those of the document, and methods those that we know.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::metrics::{Gauge, Histogram, Registry};
use domain::request_metrics::Recorder;
use poem::http::Method;

use super::routes::Destination;

/// The route of a request for which there is none.
const UNMATCHED: &str = "_unmatched";
/// A method that no operation has.
pub(super) const OTHER_METHOD: &str = "_OTHER";
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", OTHER_METHOD];
/// Upper bounds, seconds. Source: OpenTelemetry semantic conventions, HTTP metrics.
const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const TIMES: &str = "http_server_request_duration_seconds";
const TIMES_HELP: &str = "Time from the head of a request to the head of its answer.";
const ACTIVE: &str = "http_server_active_requests";
const ACTIVE_HELP: &str = "Requests that are being answered.";

/// Times of one route, by method and status.
type OfRoute = HashMap<(&'static str, u16), Histogram>;

/// Counts the requests of this process, for Prometheus and for the summary by hour.
pub struct HttpMetrics {
    registry: Registry,
    hours: Arc<Recorder>,
    times: RwLock<HashMap<String, OfRoute>>,
    active: HashMap<&'static str, Gauge>,
}

/// The name of a method that may be a label.
pub fn method_name(method: &Method) -> &'static str {
    let known = METHODS.into_iter().find(|known| *known == method.as_str());
    known.unwrap_or(OTHER_METHOD)
}

impl HttpMetrics {
    pub fn new(registry: Registry, hours: Arc<Recorder>) -> Self {
        let active = METHODS.into_iter().map(|method| {
            let labels = [("http_request_method", method)];
            (method, registry.gauge(ACTIVE, ACTIVE_HELP, &labels))
        });
        Self {
            active: active.collect(),
            registry,
            hours,
            times: RwLock::default(),
        }
    }

    /// A request has come.
    pub fn began(&self, method: &'static str) {
        if let Some(active) = self.active.get(method) {
            active.add(1.0);
        }
    }

    /// It is answered, or its client is gone. Health checks stay out of the hours: they are no use of the product.
    pub fn ended(
        &self,
        method: &'static str,
        to: Option<Destination<'_>>,
        status: u16,
        took: Duration,
        is_probe: bool,
    ) {
        if let Some(active) = self.active.get(method) {
            active.add(-1.0);
        }
        let route = to.map_or(UNMATCHED, |to| to.template);
        self.histogram(method, route, status).observe_duration(took);
        if !is_probe {
            self.hours.record(method, route, status, took);
        }
    }

    fn histogram(&self, method: &'static str, route: &str, status: u16) -> Histogram {
        let key = (method, status);
        let times = self.times.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(histogram) = times.get(route).and_then(|of_route| of_route.get(&key)) {
            return histogram.clone();
        }
        drop(times);
        let code = status.to_string();
        let labels = [
            ("http_request_method", method),
            ("http_route", route),
            ("http_response_status_code", code.as_str()),
            ("error_type", code.as_str()),
        ];
        // The type of an error is a label of those that are our fault only.
        let shown = if status >= 500 { 4 } else { 3 };
        let labels = labels.get(..shown).unwrap_or(&labels);
        let histogram = self.registry.histogram(TIMES, TIMES_HELP, labels, SECONDS);
        let mut times = self.times.write().unwrap_or_else(PoisonError::into_inner);
        let of_route = times.entry(route.to_owned()).or_default();
        of_route.entry(key).or_insert(histogram).clone()
    }
}

#[cfg(test)]
mod tests {
    use domain::kernel::Clock;

    use super::*;

    #[test]
    fn requests_are_shown_by_route_and_never_by_what_a_client_wrote() {
        let registry = Registry::default();
        let hours = Arc::new(Recorder::new(uuid::Uuid::nil(), Clock::system()));
        let metrics = HttpMetrics::new(registry.clone(), hours);
        let to = Destination {
            template: "/v1/orgs/{org}",
            operation: Some("get_org"),
        };
        let brew = method_name(&Method::from_bytes(b"HUNTER2").unwrap());
        for (method, to, status) in [("GET", Some(to), 200), ("GET", Some(to), 503), (brew, None, 404)] {
            metrics.began(method);
            metrics.ended(method, to, status, Duration::from_millis(3), false);
        }
        metrics.began("GET");
        let page = registry.render();
        for line in [
            r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="/v1/orgs/{org}",http_response_status_code="200"} 1"#,
            r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="/v1/orgs/{org}",http_response_status_code="503",error_type="503"} 1"#,
            r#"http_server_request_duration_seconds_bucket{http_request_method="_OTHER",http_route="_unmatched",http_response_status_code="404",le="0.005"} 1"#,
            r#"http_server_active_requests{http_request_method="GET"} 1"#,
            r#"http_server_active_requests{http_request_method="_OTHER"} 0"#,
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line} is not in {page}");
        }
        assert!(!page.contains("HUNTER2"));
    }
}
