//! Runs claimed jobs, each in its slot, and hands what came of them to the finisher.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{self, AttemptLog, Claimed, Finished, LEASE, Verdict};
use domain::kernel::{Db, Error, Reads, Timestamp, trace};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::finisher::Kept;
use crate::handlers::Handlers;
use crate::metrics::Metrics;
use crate::ring::{Omen, Seat};
use crate::traces::{Span, Traces};

/// How long a claimed job may wait for its turn. What was loaded for it grows old meanwhile, and a run takes 20 s of the
/// lease: a job that waits longer goes back.
const FRESH: Duration = Duration::from_secs(5);
/// How late a job may begin whose time was given by a rate: more, and the next would come too soon after it.
const LATE: Duration = Duration::from_millis(100);
/// What a result may take of the lease after the run; then the sweeper gives the job to somebody else.
const WRITE_MARGIN: Duration = Duration::from_secs(5);
/// When a job is looked at again that was put off because the database, or the disk, is the trouble.
const SOON: Duration = Duration::from_secs(10);
/// Wait of a retry when there are no random numbers to compute one.
const PLAIN_RETRY: Duration = Duration::from_mins(1);

/// A claimed job with its slot.
pub(crate) struct Taken {
    pub(crate) job: Claimed,
    /// When it was claimed, at the latest; the lease counts from here.
    pub(crate) at: Timestamp,
    /// When the claim had been made, by the steady clock of this machine; waits count from here.
    pub(crate) claimed_at: Instant,
    pub(crate) seat: Seat,
    /// Its lane gives the next job when the result of this one is written.
    pub(crate) one_by_one: bool,
    /// It begins at the time that the claim gave it.
    pub(crate) is_timed: bool,
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

    /// An error of ours: the job is put off while the database is the trouble, and tried again by schedule otherwise.
    pub(crate) fn failed(db: &Db, job: &Claimed, error: &Error) -> Self {
        if error.is_passing() {
            return Self::put_off(db, "the database was away, or had no room");
        }
        Self::fault(db, job)
    }

    /// Nothing is wrong with the job: it goes on a little later, and this run used up no try.
    pub(crate) fn put_off(db: &Db, why: &str) -> Self {
        let verdict = Verdict::Continue(db.queue_now() + SOON);
        Self::new(verdict, "put_off", Some(why.to_owned()))
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
    let now = db.queue_now();
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
    metrics: Metrics,
    traces: Traces,
    /// Everything under way.
    pub(crate) tasks: TaskTracker,
    /// No job is begun any more.
    shutdown: CancellationToken,
    /// Jobs under way are given up.
    pub(crate) cut: CancellationToken,
}

impl Runner {
    /// Begins no job after `shutdown`.
    pub(crate) fn new(
        db: Db,
        handlers: Handlers,
        results: mpsc::Sender<Kept>,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            db,
            handlers,
            results,
            metrics,
            traces: Traces::default(),
            tasks: TaskTracker::new(),
            shutdown,
            cut: CancellationToken::new(),
        }
    }

    /// The same, making a span of each attempt.
    pub(crate) fn traced(self, traces: Traces) -> Self {
        Self { traces, ..self }
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
        for (taken, step) in self.handlers.prepare(batch).await {
            match step {
                Step::Run(work) => self.spawn(Arc::clone(&self).run_one(taken, work)),
                Step::Release => self.give_back(taken).await,
                Step::End(ending) => {
                    let started_at = self.db.now();
                    self.hand_over(taken, started_at, ending).await;
                }
            }
        }
    }

    /// Waits for the turn of a job; tells whether it may begin.
    async fn may_begin(&self, taken: &mut Taken) -> bool {
        let due = taken.claimed_at + taken.job.wait;
        let begun = async {
            if !taken.job.wait.is_zero() {
                tokio::time::sleep_until(due).await;
            }
            let asked = Instant::now();
            let has_turn = taken.seat.turn().await;
            let is_in_time = !taken.is_timed || asked.elapsed() < LATE;
            has_turn && is_in_time && self.db.queue_now().since(taken.at) < FRESH + taken.job.wait
        };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => false,
            may = begun => may,
        }
    }

    /// Notes the beginning of a job over which a worker may have died; tells whether the job is still ours.
    async fn is_noted(&self, job: &Claimed) -> bool {
        if job.crashes == 0 {
            return true;
        }
        jobs::begin(&self.db, job).await.unwrap_or_else(|error| {
            tracing::warn!(%error, job = %job.id, "cannot note the beginning of a job");
            false
        })
    }

    pub(crate) async fn run_one(self: Arc<Self>, mut taken: Taken, work: BoxFuture<'static, Ending>) {
        if !self.may_begin(&mut taken).await || !self.is_noted(&taken.job).await {
            return self.give_back(taken).await;
        }
        let started_at = self.db.now();
        let span = self.traces.attempt(&taken.job);
        // Jobs that this one makes belong to its trace.
        let work = trace::within(span.as_ref().map(Span::parent), AssertUnwindSafe(work).catch_unwind());
        let ending = work.await.unwrap_or_else(|_| {
            tracing::error!(job = %taken.job.id, "a job panicked");
            let verdict = retry(&self.db, &taken.job, None);
            Ending::new(verdict, "panic", None)
        });
        if let Some(span) = span {
            span.came_to(&ending);
        }
        self.hand_over(taken, started_at, ending).await;
    }

    /// Gives back a job that was not begun, as if it had never been claimed.
    async fn give_back(&self, taken: Taken) {
        let started_at = self.db.now();
        let ending = Ending::new(Verdict::Release, "unbegun", None);
        self.hand_over(taken, started_at, ending).await;
    }

    async fn hand_over(&self, taken: Taken, started_at: Timestamp, ending: Ending) {
        let Taken {
            job,
            at,
            claimed_at: _,
            mut seat,
            one_by_one,
            is_timed: _,
        } = taken;
        if ending.verdict != Verdict::Release {
            self.metrics.ran(&job, &ending, self.db.now());
            // What was not begun tells nothing of how long its lane takes.
            seat.ended(omen(&ending.log));
        }
        let Ending { verdict, log } = ending;
        tracing::debug!(job = %job.id, lane = job.lane, outcome = log.outcome, ?verdict, "a job ran");
        let finished = Finished {
            job_id: job.id,
            lease_id: job.lease_id,
            n: job.attempt + job.crashes,
            started_at,
            verdict,
            is_trial: job.is_trial,
            log,
        };
        // Whether the lane may give another is known when this is written.
        let (until_written, until_taken) = if one_by_one {
            (Some(seat), None)
        } else {
            (None, Some(seat))
        };
        let kept = Kept {
            finished,
            until: at + LEASE - WRITE_MARGIN,
            seat: until_written,
        };
        if self.results.send(kept).await.is_err() {
            tracing::error!(job = %job.id, "a result was dropped: nobody writes results any more");
        }
        // Not before the channel took the result: while results pile up, no slots come free to claim for.
        drop(until_taken);
    }
}

/// What a result says of the one who was asked: too much was asked, or not.
fn omen(log: &AttemptLog) -> Omen {
    match (log.outcome, log.status) {
        ("ok", _) => Omen::Good,
        ("timeout" | "dns" | "tls" | "connect", _) | ("http", Some(429 | 500..)) => Omen::Bad,
        (_, _) => Omen::Neither,
    }
}
