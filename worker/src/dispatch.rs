//! Claims the jobs of rung lanes, those of many lanes in one transaction, and hands them on to be run.

use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{self, Claim, JobKind};
use domain::kernel::Db;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::ring::{Ring, Seat};
use crate::run::{Runner, Taken};

/// Lanes of one claim at most.
const LANES_PER_CLAIM: usize = 64;
/// Pause after the first claim that failed; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The claiming loop of one kind of job.
pub(crate) struct Dispatcher {
    pub(crate) db: Db,
    /// The worker's name, noted with each claim.
    pub(crate) name: String,
    pub(crate) kind: JobKind,
    pub(crate) ring: Arc<Ring>,
    pub(crate) runner: Arc<Runner>,
    pub(crate) metrics: Metrics,
}

impl Dispatcher {
    /// Claims until `shutdown`. A claim under way is ended first and its jobs are given back by the runner.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.ring.ready() => {}
            }
            let asked = self.ring.take(LANES_PER_CLAIM);
            match self.claim(&asked).await {
                Ok(taken) => {
                    pause = FIRST_PAUSE;
                    self.runner.start(taken);
                }
                Err(error) => {
                    tracing::warn!(%error, kind = self.kind.as_str(), "cannot claim jobs");
                    for (lane, jobs) in &asked {
                        self.ring.put_back(lane, *jobs);
                    }
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn claim(&self, asked: &[(String, u32)]) -> domain::kernel::Result<Vec<Taken>> {
        // Read before the claim: the lease cannot end earlier than counted from here.
        let at = self.db.queue_now();
        let Claim { jobs, lanes } = jobs::claim(&self.db, asked, &self.name).await?;
        // Read after it: what waits for its turn is counted from a later instant, and nothing begins early.
        let claimed_at = Instant::now();
        self.metrics.claimed(self.kind, jobs.len());
        // The seats hold what the claim took; they are made before the ring hears of it, and nothing is lost in between.
        let mut taken = Vec::with_capacity(jobs.len());
        for job in jobs {
            let news = lanes.get(&job.lane).copied().unwrap_or_default();
            taken.push(Taken {
                at,
                claimed_at,
                seat: Seat::new(&self.ring, &job.lane, job.org_id),
                one_by_one: news.one_by_one || self.ring.is_single(),
                is_timed: news.is_timed,
                job,
            });
        }
        for (lane, jobs) in asked {
            let news = lanes.get(lane).copied().unwrap_or_default();
            self.ring.settle(lane, *jobs, &news);
        }
        Ok(taken)
    }
}
