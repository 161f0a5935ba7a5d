//! What is counted. Clones count into the same place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A figure that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn inc(&self) {
        self.add(1);
    }

    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A figure that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<Float>);

impl Gauge {
    pub fn set(&self, value: f64) {
        self.0.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub fn add(&self, by: f64) {
        self.0.add(by);
    }

    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// How values are spread over buckets.
#[derive(Clone, Debug)]
pub struct Histogram(Arc<Spread>);

#[derive(Debug)]
struct Spread {
    /// Upper bounds, ascending.
    bounds: Vec<f64>,
    /// Values of each bucket alone; the last is for what is above all bounds.
    counts: Vec<AtomicU64>,
    sum: Float,
}

impl Histogram {
    /// A histogram of its own. [`super::Registry::histogram`] makes one that is shown.
    pub fn new(buckets: &[f64]) -> Self {
        Self(Arc::new(Spread {
            bounds: buckets.to_vec(),
            counts: (0..=buckets.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: Float::default(),
        }))
    }

    pub fn observe(&self, value: f64) {
        let bucket = self.0.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.0.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.0.sum.add(value);
    }

    /// Observes a time, in seconds.
    pub fn observe_duration(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }

    /// Each bound with the number of values up to it.
    pub(super) fn cumulative(&self) -> Vec<(f64, u64)> {
        let bounds = self.0.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.0.counts.iter().scan(0, |total, count| {
            *total += count.load(Ordering::Relaxed);
            Some(*total)
        });
        bounds.zip(counts).collect()
    }

    pub(super) fn sum(&self) -> f64 {
        self.0.sum.get()
    }
}

/// A number with a fraction that many may add to.
#[derive(Debug, Default)]
struct Float(AtomicU64);

impl Float {
    fn add(&self, by: f64) {
        let added = |bits: u64| Some((f64::from_bits(bits) + by).to_bits());
        // Never refused: the function always has an answer.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}
