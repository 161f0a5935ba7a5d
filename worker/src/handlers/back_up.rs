//! Makes backups and restores them beside the live database. Either may take longer than a lease, which is renewed.

use std::sync::Arc;
use std::time::Duration;

use domain::backups::{self, Desk, Ended, Fault, Plan, Progress};
use domain::crypto::key_store::KeyStore;
use domain::jobs::{self, Claimed, Verdict};
use domain::kernel::id::BackupId;
use domain::kernel::{Db, Result};
use tokio_util::sync::CancellationToken;

use crate::run::Ending;

/// How often the lease is renewed and the progress written down; a third of the lease.
const BEAT: Duration = Duration::from_secs(20);
/// Tries. The next backup by schedule, or by call, is a try of its own.
const TRIES: i32 = 3;

/// Makes and restores backups.
pub(crate) struct BackUp {
    pub(crate) db: Db,
    pub(crate) keys: Arc<KeyStore>,
    pub(crate) plan: Arc<Plan>,
    /// What is under way then is broken off and begun again later.
    pub(crate) shutdown: CancellationToken,
}

impl BackUp {
    fn desk<'a>(&'a self, progress: &'a Progress) -> Desk<'a> {
        Desk {
            db: &self.db,
            keys: &self.keys,
            plan: &self.plan,
            progress,
        }
    }

    /// Makes a backup, proves it, and lets those go that are kept no longer.
    pub(crate) async fn make(&self, job: &Claimed, id: BackupId) -> Ending {
        let progress = Progress::default();
        let desk = self.desk(&progress);
        let outcome = tokio::select! {
            outcome = desk.make(id) => outcome,
            ending = self.beat(job, id, &progress) => return ending,
        };
        match outcome {
            Ok(ended) => {
                if let Err(error) = backups::let_go(&self.db, &self.plan).await {
                    tracing::warn!(%error, "cannot delete backups that are kept no longer");
                }
                done(ended)
            }
            Err(fault) => {
                let ending = self.fault(job, &fault, "cannot make a backup");
                let is_last = is_last(&ending);
                Self::noted(backups::note_fault(&self.db, id, &fault, is_last).await);
                ending
            }
        }
    }

    /// Restores a backup into a database beside the live one.
    pub(crate) async fn restore(&self, job: &Claimed, id: BackupId) -> Ending {
        let progress = Progress::default();
        let desk = self.desk(&progress);
        let outcome = tokio::select! {
            outcome = desk.restore(id) => outcome,
            ending = self.beat(job, id, &progress) => return ending,
        };
        match outcome {
            Ok(ended) => done(ended),
            Err(fault) => {
                let ending = self.fault(job, &fault, "cannot restore a backup");
                let is_last = is_last(&ending);
                Self::noted(backups::note_restore_fault(&self.db, id, &fault, is_last).await);
                ending
            }
        }
    }

    /// Renews the lease until it cannot be, or the worker is to stop.
    async fn beat(&self, job: &Claimed, id: BackupId, progress: &Progress) -> Ending {
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => {
                    return Ending::new(Verdict::Continue(self.db.queue_now()), "unfinished", None);
                }
                () = tokio::time::sleep(BEAT) => {}
            }
            match jobs::renew(&self.db, job).await {
                Ok(true) => {}
                Ok(false) => {
                    let why = "the lease was lost".to_owned();
                    return Ending::new(Verdict::Continue(self.db.queue_now()), "stale", Some(why));
                }
                // The next beat comes before the lease ends.
                Err(error) => tracing::warn!(%error, "cannot renew the lease of a backup"),
            }
            Self::noted(backups::note_progress(&self.db, id, progress).await);
        }
    }

    fn fault(&self, job: &Claimed, fault: &Fault, what: &str) -> Ending {
        tracing::warn!(%fault, "{what}");
        match fault {
            Fault::Refused(why) => Ending::new(Verdict::Dead, "refused", Some(why.clone().into_owned())),
            Fault::Io(_) | Fault::Store(_) | Fault::Ours(_) if job.attempt >= TRIES => {
                Ending::new(Verdict::Dead, "internal", None)
            }
            Fault::Io(_) | Fault::Store(_) | Fault::Ours(_) => Ending::fault(&self.db, job),
        }
    }

    fn noted(noted: Result<()>) {
        if let Err(error) = noted {
            tracing::warn!(%error, "cannot write down how a backup stands");
        }
    }
}

fn is_last(ending: &Ending) -> bool {
    ending.verdict == Verdict::Dead
}

fn done(ended: Ended) -> Ending {
    match ended {
        Ended::Done => Ending::new(Verdict::Done, "ok", None),
        Ended::Gone => Ending::cancelled("the backup was deleted"),
    }
}
