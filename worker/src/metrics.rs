//! What a worker counts.

use std::sync::Arc;
use std::time::Duration;

use domain::billing::{inbox, reconcile};
use domain::jobs::{self, Cause, Claimed, JobKind, Verdict};
use domain::kernel::{Db, Reads, Result, Timestamp};
use domain::limits::recount;
use domain::metrics::{Counter, Gauge, Histogram, Registry, SECONDS};
use tokio_util::sync::CancellationToken;

use crate::run::Ending;

/// How often the queue is measured.
const PERIOD: Duration = Duration::from_secs(10);
/// Upper bounds for the sizes of claims.
const SIZES: &[f64] = &[0.0, 1.0, 4.0, 16.0, 64.0, 256.0, 1024.0];
/// Everything that an attempt can come to. Source: `jobs::AttemptLog`.
const OUTCOMES: [&str; 23] = [
    "ok",
    "http",
    "timeout",
    "dns",
    "tls",
    "connect",
    "blocked",
    "internal",
    "put_off",
    "panic",
    "poison",
    "cancelled",
    "unfinished",
    "waiting",
    "stuck",
    "rejected",
    "deferred",
    "unreachable",
    "refused",
    "superseded",
    "coalesced",
    "billing_disabled",
    "stale",
];
/// For outcomes that are none of these.
const OTHER: &str = "other";

/// How a lane came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BellSource {
    /// Rung by whoever committed the jobs.
    Commit,
    /// Found by the sweeper.
    Sweep,
}

struct OfKind {
    kind: JobKind,
    ready: Gauge,
    oldest: Gauge,
    claims: Histogram,
    /// By outcome; the last is for all others.
    attempts: Vec<(&'static str, Counter)>,
}

struct Figures {
    kinds: Vec<OfKind>,
    delivered: Histogram,
    rung_by_commit: Counter,
    rung_by_sweep: Counter,
    leases_expired: Counter,
    stale: Counter,
    paused: Gauge,
    stripe_age: Gauge,
    billing_drift: Gauge,
    recounted: Gauge,
}

/// The figures of one worker.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Figures>);

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let rings = "Lanes that became known to have work, by who told.";
        let rung = |source| registry.counter("strongroom_bell_total", rings, &[("source", source)]);
        Self(Arc::new(Figures {
            kinds: JobKind::ALL.into_iter().map(|kind| of_kind(registry, kind)).collect(),
            delivered: registry.histogram(
                "strongroom_commit_to_delivery_seconds",
                "From the commit of an event to the answer of a receiver that took it at the first attempt.",
                &[],
                SECONDS,
            ),
            rung_by_commit: rung("commit"),
            rung_by_sweep: rung("sweep"),
            leases_expired: registry.counter(
                "strongroom_leases_expired_total",
                "Jobs that were taken back from workers that went silent.",
                &[],
            ),
            stale: registry.counter(
                "strongroom_stale_finishes_total",
                "Results that came after the lease of their job had ended.",
                &[],
            ),
            paused: registry.gauge(
                "strongroom_breakers_open",
                "Webhooks that nothing is sent to for now, because too many attempts failed in a row.",
                &[],
            ),
            stripe_age: registry.gauge(
                "strongroom_stripe_events_pending_age_seconds",
                "How long the oldest of Stripe's events has waited to be applied.",
                &[],
            ),
            billing_drift: registry.gauge(
                "strongroom_billing_drift",
                "Differences from Stripe that the nightly walk has found and put right, all in all.",
                &[],
            ),
            recounted: registry.gauge(
                "strongroom_usage_counters_repaired",
                "Counters of limits that were wrong and put right, since this process began.",
                &[],
            ),
        }))
    }

    fn of(&self, kind: JobKind) -> Option<&OfKind> {
        self.0.kinds.iter().find(|of_kind| of_kind.kind == kind)
    }

    /// A claim brought so many jobs.
    pub(crate) fn claimed(&self, kind: JobKind, jobs: usize) {
        if let (Some(of_kind), Ok(jobs)) = (self.of(kind), u32::try_from(jobs)) {
            of_kind.claims.observe(f64::from(jobs));
        }
    }

    /// A job ran.
    pub(crate) fn ran(&self, job: &Claimed, ending: &Ending, now: Timestamp) {
        if let Some(of_kind) = jobs::lane_kind(&job.lane).and_then(|kind| self.of(kind)) {
            let outcome = ending.log.outcome;
            let counter = of_kind.attempts.iter().find(|(name, _)| *name == outcome);
            if let Some((_, counter)) = counter.or(of_kind.attempts.last()) {
                counter.inc();
            }
        }
        let is_new = job.attempt == 1 && job.crashes == 0 && job.cause == Cause::Event.as_str();
        if is_new && job.webhook_id.is_some() && ending.verdict == Verdict::Done {
            self.0.delivered.observe_duration(now.since(job.created_at));
        }
    }

    /// Lanes became known.
    pub(crate) fn rung(&self, source: BellSource, lanes: usize) {
        let counter = match source {
            BellSource::Commit => &self.0.rung_by_commit,
            BellSource::Sweep => &self.0.rung_by_sweep,
        };
        counter.add(lanes.try_into().unwrap_or(0));
    }

    /// Jobs were taken back.
    pub(crate) fn lost(&self, jobs: usize) {
        self.0.leases_expired.add(jobs.try_into().unwrap_or(0));
    }

    /// Results came too late.
    pub(crate) fn stale(&self, results: usize) {
        self.0.stale.add(results.try_into().unwrap_or(0));
    }

    /// Measures the queue now and then until `shutdown`.
    pub(crate) async fn measure(self, db: Db, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.look(&db).await {
                tracing::debug!(%error, "cannot measure the queue");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Measures the queue.
    pub(crate) async fn look(&self, db: &Db) -> Result<()> {
        for depth in jobs::depths(db).await? {
            if let Some(of_kind) = self.of(depth.kind) {
                of_kind.ready.set(float(depth.ready));
                of_kind.oldest.set(depth.oldest.as_secs_f64());
            }
        }
        self.0.paused.set(float(jobs::health::paused(db).await?));
        let waiting = inbox::waiting_since(db).await?;
        let age = waiting.map_or(Duration::ZERO, |since| db.now().since(since));
        self.0.stripe_age.set(age.as_secs_f64());
        let drift: i64 = reconcile::drift(db).await?.into_values().sum();
        self.0.billing_drift.set(float(u64::try_from(drift).unwrap_or(0)));
        self.0.recounted.set(float(recount::repaired()));
        Ok(())
    }
}

fn of_kind(registry: &Registry, kind: JobKind) -> OfKind {
    let label = ("kind", kind.as_str());
    let attempts = OUTCOMES.into_iter().chain([OTHER]).map(|outcome| {
        let labels = [label, ("outcome", outcome)];
        let counter = registry.counter("strongroom_attempts_total", "Attempts at jobs, by outcome.", &labels);
        (outcome, counter)
    });
    OfKind {
        kind,
        ready: registry.gauge(
            "strongroom_jobs_ready",
            "Jobs that are due, held ones included; 100,000 at most.",
            &[label],
        ),
        oldest: registry.gauge(
            "strongroom_oldest_due_age_seconds",
            "How long the oldest job that is due has been due, held ones included.",
            &[label],
        ),
        claims: registry.histogram("strongroom_claim_batch_size", "Jobs of one claim.", &[label], SIZES),
        attempts: attempts.collect(),
    }
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
