//! Figures of a process, in the text format of Prometheus. A figure is a plain atomic: to count costs nothing that a
//! request would notice, and nobody need listen.
//!
//! Names and labels are ours alone: no label may carry what a tenant chose, or their number has no end.

mod figure;
mod text;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use figure::{Counter, Gauge, Histogram};

/// The media type of [`Registry::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds for times, seconds: from a millisecond to a minute.
pub const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// The labels of one figure, in the order in which they are shown.
type Labels = Vec<(String, String)>;

/// One figure of a family.
#[derive(Clone)]
enum Figure {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// Figures of one name.
struct Family {
    help: String,
    kind: &'static str,
    figures: BTreeMap<Labels, Figure>,
}

/// All figures of a process. Its clones are the same registry.
#[derive(Clone, Default)]
pub struct Registry {
    families: Arc<Mutex<BTreeMap<String, Family>>>,
}

impl Registry {
    /// A figure that only grows; its name ends in `_total`. Asked for twice, it is the same one.
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Counter {
        let made = || Figure::Counter(Counter::default());
        match self.figure(name, help, "counter", labels, made) {
            Some(Figure::Counter(counter)) => counter,
            Some(Figure::Gauge(_) | Figure::Histogram(_)) | None => Counter::default(),
        }
    }

    /// A figure that goes up and down.
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Gauge {
        let made = || Figure::Gauge(Gauge::default());
        match self.figure(name, help, "gauge", labels, made) {
            Some(Figure::Gauge(gauge)) => gauge,
            Some(Figure::Counter(_) | Figure::Histogram(_)) | None => Gauge::default(),
        }
    }

    /// How values are spread. `buckets` are upper bounds, ascending; what is above the last counts too.
    pub fn histogram(&self, name: &str, help: &str, labels: &[(&str, &str)], buckets: &[f64]) -> Histogram {
        let made = || Figure::Histogram(Histogram::new(buckets));
        match self.figure(name, help, "histogram", labels, made) {
            Some(Figure::Histogram(histogram)) => histogram,
            Some(Figure::Counter(_) | Figure::Gauge(_)) | None => Histogram::new(buckets),
        }
    }

    /// The figure of this name and these labels, made if it is not there. `None` when the name stands for another kind:
    /// the caller then gets a figure that nobody sees, which is better than a process that does not start.
    fn figure(
        &self,
        name: &str,
        help: &str,
        kind: &'static str,
        labels: &[(&str, &str)],
        made: impl FnOnce() -> Figure,
    ) -> Option<Figure> {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let family = families.entry(name.to_owned()).or_insert_with(|| Family {
            help: help.to_owned(),
            kind,
            figures: BTreeMap::new(),
        });
        if family.kind != kind {
            return None;
        }
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Some(family.figures.entry(labels).or_insert_with(made).clone())
    }

    /// Everything, in the text format of Prometheus, sorted by name.
    pub fn render(&self) -> String {
        let families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::new();
        for (name, family) in families.iter() {
            text::family(&mut page, name, family);
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn figures_are_shown_in_the_text_format() {
        let registry = Registry::default();
        let ok = registry.counter("jobs_total", "Jobs that ran.", &[("outcome", "ok")]);
        ok.inc();
        ok.add(2);
        registry
            .counter("jobs_total", "Jobs that ran.", &[("outcome", "http")])
            .inc();
        registry.gauge("up", "Whether it is there.", &[]).set(1.0);
        let times = registry.histogram("wait_seconds", "Waits.", &[], &[0.1, 1.0]);
        times.observe(0.05);
        times.observe(0.1);
        times.observe_duration(Duration::from_secs(7));
        let expected = "\
# HELP jobs_total Jobs that ran.
# TYPE jobs_total counter
jobs_total{outcome=\"http\"} 1
jobs_total{outcome=\"ok\"} 3
# HELP up Whether it is there.
# TYPE up gauge
up 1
# HELP wait_seconds Waits.
# TYPE wait_seconds histogram
wait_seconds_bucket{le=\"0.1\"} 2
wait_seconds_bucket{le=\"1\"} 2
wait_seconds_bucket{le=\"+Inf\"} 3
wait_seconds_sum 7.15
wait_seconds_count 3
";
        assert_eq!(registry.render(), expected);
    }

    #[test]
    fn a_figure_asked_for_twice_is_one() {
        let registry = Registry::default();
        let labels = [("kind", "a\"b\\c\nd")];
        registry.gauge("depth", "", &labels).set(2.5);
        registry.clone().gauge("depth", "", &labels).add(-1.0);
        let page = registry.render();
        assert!(page.contains(r#"depth{kind="a\"b\\c\nd"} 1.5"#), "{page}");
    }

    #[test]
    fn a_name_of_another_kind_is_not_shown() {
        let registry = Registry::default();
        registry.gauge("depth", "", &[]).set(1.0);
        registry.counter("depth", "", &[]).inc();
        assert!(registry.render().ends_with("depth 1\n"));
    }
}
