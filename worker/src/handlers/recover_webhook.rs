//! Delivers past events to a webhook once more, a stretch at a time: between two stretches others get their turn.

use std::sync::Arc;
use std::time::Duration;

use domain::jobs::{Bell, Claimed, Verdict};
use domain::kernel::id::RecoveryId;
use domain::kernel::{Db, Error};
use domain::webhooks::recovering::{self, Next};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::run::Ending;

/// How long one run goes on, well within what a run may take of its lease.
const STRETCH: Duration = Duration::from_secs(10);

/// Walks recoveries.
pub(crate) struct RecoverWebhook {
    pub(crate) db: Db,
    pub(crate) bell: Arc<dyn Bell>,
    /// A stretch ends early at a shutdown.
    pub(crate) shutdown: CancellationToken,
}

impl RecoverWebhook {
    /// Goes on until everything was looked at, or the stretch is over.
    pub(crate) async fn run(&self, job: &Claimed, id: RecoveryId) -> Ending {
        let end = Instant::now() + STRETCH;
        loop {
            match recovering::step(&self.db, id).await {
                Ok(Next::Step(lanes)) => {
                    self.ring(&lanes).await;
                    if Instant::now() >= end || self.shutdown.is_cancelled() {
                        return Ending::new(Verdict::Continue(self.db.queue_now()), "unfinished", None);
                    }
                }
                Ok(Next::Done(lanes)) => {
                    self.ring(&lanes).await;
                    return Ending::new(Verdict::Done, "ok", None);
                }
                Ok(Next::Cancelled) => return Ending::cancelled("the webhook was switched off or deleted"),
                Err(error) => {
                    tracing::warn!(%error, recovery = %id, "cannot take a step of a recovery");
                    return self.fault(job, id, &error).await;
                }
            }
        }
    }

    async fn ring(&self, lanes: &[String]) {
        if !lanes.is_empty() {
            self.bell.ring(lanes).await;
        }
    }

    /// Another try, by schedule unless the database is the trouble. After the last one the recovery ends too, so that
    /// another can be asked for.
    async fn fault(&self, job: &Claimed, id: RecoveryId, error: &Error) -> Ending {
        let ending = Ending::failed(&self.db, job, error);
        if ending.verdict == Verdict::Dead
            && let Err(error) = recovering::give_up(&self.db, id).await
        {
            tracing::error!(%error, recovery = %id, "cannot end a recovery that was given up");
        }
        ending
    }
}
