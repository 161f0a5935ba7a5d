//! Looks for itself at what is due, once a second: a ring that was lost, or never rung, costs a second and no job.

use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{self, JobKind, lane_kind};
use domain::kernel::Db;
use tokio_util::sync::CancellationToken;

use crate::metrics::{BellSource, Metrics};
use crate::ring::Ring;

const PERIOD: Duration = Duration::from_secs(1);
/// Many workers must not look all at once.
const JITTER: f64 = 0.2;
/// Shortest pause, so that jobs that fall due one after the other do not keep it busy.
const SHORTEST: Duration = Duration::from_millis(5);

/// The rings of all kinds.
#[derive(Clone)]
pub(crate) struct Rings {
    pub(crate) webhook: Arc<Ring>,
    pub(crate) mail: Arc<Ring>,
    pub(crate) keys: Arc<Ring>,
    pub(crate) recovery: Arc<Ring>,
    pub(crate) billing: Arc<Ring>,
}

impl Rings {
    /// The ring of a kind.
    pub(crate) fn of(&self, kind: JobKind) -> &Arc<Ring> {
        match kind {
            JobKind::Webhook => &self.webhook,
            JobKind::Mail => &self.mail,
            JobKind::Keys => &self.keys,
            JobKind::Recovery => &self.recovery,
            JobKind::Billing => &self.billing,
        }
    }

    /// Forgets what was learned of lanes that have long been idle.
    fn forget_idle(&self) {
        for kind in JobKind::ALL {
            self.of(kind).forget_idle();
        }
    }

    /// Notes lanes that have work. A lane of a newer version is left to newer workers.
    pub(crate) fn rung(&self, lanes: &[String]) {
        for lane in lanes {
            if let Some(kind) = lane_kind(lane) {
                self.of(kind).rung(lane);
            }
        }
    }
}

/// The sweeping loop.
pub(crate) struct Sweeper {
    pub(crate) db: Db,
    pub(crate) rings: Rings,
    pub(crate) metrics: Metrics,
}

impl Sweeper {
    /// Sweeps at once, then about once a second, and at the very instant that a job falls due, until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut was_down = false;
        loop {
            if let Err(error) = self.db.set_queue_clock().await {
                tracing::debug!(%error, "cannot ask the database what time it is");
            }
            let pause = match jobs::sweep(&self.db).await {
                Ok(found) => {
                    if found.lost > 0 {
                        tracing::warn!(jobs = found.lost, "took back jobs of workers that went silent");
                    }
                    was_down = false;
                    self.metrics.lost(found.lost);
                    self.metrics.rung(BellSource::Sweep, found.due_lanes.len());
                    self.rings.forget_idle();
                    self.rings.rung(&found.due_lanes);
                    self.pause(found.next_due)
                }
                Err(error) => {
                    if !was_down {
                        tracing::warn!(%error, "cannot look for due jobs");
                    }
                    was_down = true;
                    self.pause(None)
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn pause(&self, next_due: Option<Duration>) -> Duration {
        let period = PERIOD.mul_f64(self.db.rng().jitter(JITTER).unwrap_or(1.0));
        next_due.map_or(period, |due| due.clamp(SHORTEST, period))
    }
}
