//! How the instance has been answering.

use std::sync::Arc;

use domain::access::Superuser;
use domain::request_metrics::{self, Figures, Hour, RouteFigures, Summary};
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct AdminMetricsApi(pub Arc<App>);

/// How some requests were answered. Times are milliseconds from the head of the request to the head of the answer;
/// percentiles are at most 9 % off.
#[derive(Clone, Debug, Object)]
pub struct RequestFigures {
    /// How many there were.
    pub requests: u64,
    /// Those that were refused: 4xx.
    pub errors_4xx: u64,
    /// Those that failed by our fault: 5xx.
    pub errors_5xx: u64,
    /// The part that failed by our fault, 0 to 1.
    pub error_rate: f64,
    /// The time that half of them did not exceed, milliseconds.
    pub p50_ms: f64,
    /// The time that 90 % of them did not exceed, milliseconds.
    pub p90_ms: f64,
    /// The time that 95 % of them did not exceed, milliseconds.
    pub p95_ms: f64,
    /// The time that 99 % of them did not exceed, milliseconds.
    pub p99_ms: f64,
    /// The longest time, milliseconds.
    pub max_ms: f64,
    /// The mean time, milliseconds.
    pub mean_ms: f64,
}

impl From<Figures> for RequestFigures {
    fn from(figures: Figures) -> Self {
        let Figures {
            requests,
            by_class: [_, _, errors_4xx, errors_5xx],
            error_rate,
            p50,
            p90,
            p95,
            p99,
            max,
            mean,
        } = figures;
        Self {
            requests,
            errors_4xx,
            errors_5xx,
            error_rate,
            p50_ms: p50,
            p90_ms: p90,
            p95_ms: p95,
            p99_ms: p99,
            max_ms: max,
            mean_ms: mean,
        }
    }
}

/// Requests of one route.
#[derive(Clone, Debug, Object)]
pub struct RouteMetrics {
    /// The method; `_OTHER` for one that no operation has.
    pub method: String,
    /// The path as documented, `/v1/orgs/{org}`; `_unmatched` for all paths that are not.
    pub route: String,
    /// How they were answered.
    pub figures: RequestFigures,
}

impl From<RouteFigures> for RouteMetrics {
    fn from(of_route: RouteFigures) -> Self {
        let RouteFigures { method, route, figures } = of_route;
        Self {
            method,
            route,
            figures: figures.into(),
        }
    }
}

/// Requests of one hour.
#[derive(Clone, Debug, Object)]
pub struct HourMetrics {
    /// The beginning of the hour.
    pub hour: Time,
    /// How they were answered.
    pub figures: RequestFigures,
}

impl From<Hour> for HourMetrics {
    fn from(hour: Hour) -> Self {
        let Hour { at, figures } = hour;
        Self {
            hour: at.into(),
            figures: figures.into(),
        }
    }
}

/// Requests by the first digit of their status.
#[derive(Clone, Debug, Object)]
pub struct StatusCounts {
    /// 200 to 299.
    pub status_2xx: u64,
    /// 300 to 399.
    pub status_3xx: u64,
    /// 400 to 499.
    pub status_4xx: u64,
    /// 500 to 599.
    pub status_5xx: u64,
}

/// How much of the time the figures are about.
#[derive(Clone, Debug, Object)]
pub struct MetricsCoverage {
    /// Hours of which nothing is known: no request came, or no process ran.
    pub missing_hours: Vec<Time>,
}

/// How the instance has been answering. Health checks are left out.
#[derive(Clone, Debug, Object)]
pub struct MetricsSummary {
    /// The beginning of the first hour.
    pub from: Time,
    /// The instant of this answer.
    pub to: Time,
    /// Hours that were asked for, the current one among them.
    pub hours: u32,
    /// All requests together.
    pub totals: RequestFigures,
    /// All requests, on average over the whole time.
    pub requests_per_second: f64,
    /// All requests by their status.
    pub by_status: StatusCounts,
    /// Every route that was called, those that take most of the time first.
    pub by_route: Vec<RouteMetrics>,
    /// Every hour, the oldest first.
    pub timeline: Vec<HourMetrics>,
    /// Processes that have answered something; each start counts as another.
    pub instances: u64,
    /// How much of the time the figures are about.
    pub coverage: MetricsCoverage,
}

impl From<Summary> for MetricsSummary {
    fn from(summary: Summary) -> Self {
        let Summary {
            from,
            to,
            hours,
            total,
            per_second,
            routes,
            timeline,
            instances,
            missing,
        } = summary;
        let [status_2xx, status_3xx, status_4xx, status_5xx] = total.by_class;
        Self {
            from: from.into(),
            to: to.into(),
            hours,
            totals: total.into(),
            requests_per_second: per_second,
            by_status: StatusCounts {
                status_2xx,
                status_3xx,
                status_4xx,
                status_5xx,
            },
            by_route: routes.into_iter().map(Into::into).collect(),
            timeline: timeline.into_iter().map(Into::into).collect(),
            instances,
            coverage: MetricsCoverage {
                missing_hours: missing.into_iter().map(Into::into).collect(),
            },
        }
    }
}

#[OpenApi(tag = "Tag::Administration")]
impl AdminMetricsApi {
    /// Sum up requests
    ///
    /// How many requests came within the last hours, how they ended and how long they took: in all, by route and hour by
    /// hour, over all processes of the instance. Other processes are up to a minute behind. For superusers, from a
    /// session.
    #[oai(
        path = "/v1/admin/metrics/summary",
        method = "get",
        operation_id = "get_metrics_summary"
    )]
    async fn get_metrics_summary(
        &self,
        caller: Caller,
        /// Hours to sum up, 1 to 168; 24 if absent. The last is the current one, as far as it has come.
        hours: Query<Option<i64>>,
    ) -> Result<Json<MetricsSummary>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let hours = request_metrics::hours(hours.0)?;
        let summary = request_metrics::summary(&self.0.db, &superuser, &self.0.requests, hours).await?;
        Ok(Json(summary.into()))
    }
}
