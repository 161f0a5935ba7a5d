//! Runs claimed jobs, each in its slot, and hands what came of them to the finisher.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{self, AttemptLog, Claimed, Finished, LEASE, Verdict};
use domain::kernel::{Db, Reads, Timestamp};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::finisher::Kept;
use crate::handlers::Handlers;
use crate::ring::Seat;

/// What a run may take of its lease: 20 s of a handler's wall and some for the database. A job that is begun later
/// would run on when its lease is over.
const RUN_TIME: Duration = Duration::from_secs(30);
/// What a result may take of the lease after the run; then the sweeper gives the job to somebody else.
const WRITE_MARGIN: Duration = Duration::from_secs(5);
/// Wait of a retry when there are no random numbers to compute one.
const PLAIN_RETRY: Duration = Duration::from_mins(1);

/// A claimed job with its slot.
pub(crate) struct Taken {
    pub(crate) job: Claimed,
    /// When it was claimed, at the latest; the lease counts from here.
    pub(crate) at: Timestamp,
    pub(crate) seat: Seat,
}

/// What came of a job.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) verdict: Verdict,
    pub(crate) log: AttemptLog,
}

impl Ending {
    pub(crate) fn new(verdict: Verdict, outcome: &'static str, error: Option<String>) -> Self {
        let log = AttemptLog {
            outcome,
            error,
            ..AttemptLog::default()
        };
        Self { verdict, log }
    }

    /// What it was for is gone.
    pub(crate) fn cancelled(why: &str) -> Self {
        Self::new(Verdict::Cancelled, "cancelled", Some(why.to_owned()))
    }

    /// A failure that is ours, tried again by schedule. The cause is in the log of the process only.
    pub(crate) fn fault(db: &Db, job: &Claimed) -> Self {
        let verdict = retry(db, job, None);
        Self::new(
            verdict,
            "internal",
            Some("the fault is ours; the log of the worker tells more".to_owned()),
        )
    }
}

/// Another try by the schedule, `Dead` when there is none left.
pub(crate) fn retry(db: &Db, job: &Claimed, retry_after: Option<Duration>) -> Verdict {
    let now = db.now();
    match jobs::next_attempt(job.attempt, job.max_attempts, retry_after, now, db.rng()) {
        Ok(Some(at)) => Verdict::Retry(at),
        Ok(None) => Verdict::Dead,
        Err(_) => Verdict::Retry(now + PLAIN_RETRY),
    }
}

/// What to do with a job that was looked at.
pub(crate) enum Step {
    Run(BoxFuture<'static, Ending>),
    /// There is nothing to run.
    End(Ending),
    /// Not now: it goes back as if it had never been claimed.
    Release,
}

/// Runs jobs.
pub(crate) struct Runner {
    db: Db,
    handlers: Handlers,
    results: mpsc::Sender<Kept>,
    /// Everything under way.
    pub(crate) tasks: TaskTracker,
    /// No job is begun any more.
    shutdown: CancellationToken,
    /// Jobs under way are given up.
    pub(crate) cut: CancellationToken,
}

impl Runner {
    /// Begins no job after `shutdown`.
    pub(crate) fn new(db: Db, handlers: Handlers, results: mpsc::Sender<Kept>, shutdown: CancellationToken) -> Self {
        Self {
            db,
            handlers,
            results,
            tasks: TaskTracker::new(),
            shutdown,
            cut: CancellationToken::new(),
        }
    }

    /// Starts a batch and returns at once.
    pub(crate) fn start(self: &Arc<Self>, batch: Vec<Taken>) {
        if !batch.is_empty() {
            self.spawn(Arc::clone(self).run_batch(batch));
        }
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = cut.cancelled() => {}
                () = work => {}
            }
        });
    }

    async fn run_batch(self: Arc<Self>, batch: Vec<Taken>) {
        let mut unbegun = Vec::new();
        for (taken, step) in self.handlers.prepare(batch).await {
            match step {
                Step::Run(work) if self.may_begin(&taken) => self.spawn(Arc::clone(&self).run_one(taken, work)),
                Step::Run(_) | Step::Release => unbegun.push(taken),
                Step::End(ending) => {
                    let started_at = self.db.now();
                    self.hand_over(taken, started_at, ending).await;
                }
            }
        }
        self.release(unbegun).await;
    }

    fn may_begin(&self, taken: &Taken) -> bool {
        !self.shutdown.is_cancelled() && self.db.now().since(taken.at) + RUN_TIME < LEASE
    }

    pub(crate) async fn run_one(self: Arc<Self>, taken: Taken, work: BoxFuture<'static, Ending>) {
        let started_at = self.db.now();
        let ending = AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(job = %taken.job.id, "a job panicked");
            let verdict = retry(&self.db, &taken.job, None);
            Ending::new(verdict, "panic", None)
        });
        self.hand_over(taken, started_at, ending).await;
    }

    async fn hand_over(&self, taken: Taken, started_at: Timestamp, ending: Ending) {
        let Taken { job, at, seat } = taken;
        let Ending { verdict, log } = ending;
        tracing::debug!(job = %job.id, lane = job.lane, outcome = log.outcome, ?verdict, "a job ran");
        let finished = Finished {
            job_id: job.id,
            lease_id: job.lease_id,
            n: job.attempt + job.crashes,
            started_at,
            verdict,
            log,
        };
        let kept = Kept {
            finished,
            until: at + LEASE - WRITE_MARGIN,
        };
        if self.results.send(kept).await.is_err() {
            tracing::error!(job = %job.id, "a result was dropped: nobody writes results any more");
        }
        // Not before the channel took the result: while results pile up, no slots come free to claim for.
        drop(seat);
    }

    async fn release(&self, unbegun: Vec<Taken>) {
        let (jobs, seats): (Vec<Claimed>, Vec<Seat>) = unbegun.into_iter().map(|taken| (taken.job, taken.seat)).unzip();
        if let Err(error) = jobs::release(&self.db, &jobs).await {
            tracing::warn!(%error, jobs = jobs.len(), "cannot give back jobs: they wait until their leases run out");
        }
        drop(seats);
    }
}
