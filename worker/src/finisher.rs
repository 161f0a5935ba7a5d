//! Writes down what came of jobs, many in one transaction: a transaction each would be twenty times slower.

use std::time::Duration;

use domain::jobs::{self, Finished};
use domain::kernel::{Db, Result, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::ring::Seat;

/// How long a result waits for company.
const GATHER: Duration = Duration::from_millis(10);
/// Results of one transaction at most.
const BATCH: usize = 256;
/// Results that wait while the database does not answer; then jobs keep their slots and no more are claimed.
pub(crate) const BACKLOG: usize = 1024;
/// Pause after the first write that failed; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A result, kept until it is written or too old to be.
pub(crate) struct Kept {
    pub(crate) finished: Finished,
    /// Shortly before the lease ends. While the database is away nobody else can take the job over, and it is kept longer.
    pub(crate) until: Timestamp,
    /// Of a lane that gives one job after the other: held until this is written.
    pub(crate) seat: Option<Seat>,
}

/// The one writer of results.
pub(crate) struct Finisher {
    pub(crate) db: Db,
    /// The worker's name, noted with each attempt.
    pub(crate) name: String,
    pub(crate) metrics: Metrics,
}

impl Finisher {
    /// Writes results until all senders are gone and everything is written.
    pub(crate) async fn run(self, mut results: mpsc::Receiver<Kept>) {
        let mut batch = Vec::with_capacity(BATCH);
        while results.recv_many(&mut batch, BATCH).await > 0 {
            let deadline = Instant::now() + GATHER;
            while batch.len() < BATCH && !has_waiting(&batch) {
                let room = BATCH - batch.len();
                match tokio::time::timeout_at(deadline, results.recv_many(&mut batch, room)).await {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            self.flush(std::mem::take(&mut batch)).await;
        }
    }

    /// Writes a batch. While the database is away, or has no room, the batch is kept and tried again; results that it does
    /// not take for another reason are kept until their leases are about to end.
    async fn flush(&self, mut batch: Vec<Kept>) {
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.write(&batch).await {
            tracing::warn!(%error, results = batch.len(), "cannot write results");
            if !error.is_passing() {
                batch = self.without_the_hopeless(batch).await;
            }
            if batch.is_empty() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn write(&self, batch: &[Kept]) -> Result<()> {
        let finished: Vec<Finished> = batch.iter().map(|result| result.finished.clone()).collect();
        let stale = jobs::finish(&self.db, &self.name, &finished).await?;
        self.metrics.stale(stale);
        if stale > 0 {
            tracing::warn!(stale, "results came after their leases had ended and changed nothing");
        }
        Ok(())
    }

    /// Writes what can be written, and lets go of what will never be. Returns those that are left.
    async fn without_the_hopeless(&self, mut batch: Vec<Kept>) -> Vec<Kept> {
        if batch.len() > 1 {
            batch = self.write_singly(batch).await;
        }
        let (now, left) = (self.db.queue_now(), batch.len());
        batch.retain(|result| now < result.until);
        let dropped = left - batch.len();
        if dropped > 0 {
            tracing::error!(
                dropped,
                "results were dropped: their leases end, and the jobs will run again"
            );
        }
        batch
    }

    /// One result that cannot be written must not hold up the others. Returns those that are left.
    async fn write_singly(&self, batch: Vec<Kept>) -> Vec<Kept> {
        let mut left = Vec::new();
        for result in batch {
            if let Err(error) = self.write(std::slice::from_ref(&result)).await {
                tracing::warn!(%error, job = %result.finished.job_id, "cannot write a result");
                left.push(result);
            }
        }
        left
    }
}

/// Whether a lane waits for one of these to be written: it is not kept waiting for company.
fn has_waiting(batch: &[Kept]) -> bool {
    batch.iter().any(|kept| kept.seat.is_some())
}
