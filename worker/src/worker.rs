//! The worker as a whole: its loops, and how it stops.

use std::sync::Arc;
use std::time::Duration;

use domain::backups::Plan;
use domain::crypto::key_store::KeyStore;
use domain::egress::Egress;
use domain::jobs::{Bell, JobKind};
use domain::kernel::{Db, Reads, Result};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::backups;
use crate::dispatch::Dispatcher;
use crate::finisher::{BACKLOG, Finisher, Kept};
use crate::handlers::{BackUp, DeliverWebhook, Handlers, RecoverWebhook, Reencrypt, SendMail};
use crate::housekeeping;
use crate::mailer::Mailer;
use crate::ring::Ring;
use crate::run::Runner;
use crate::sweeper::{Rings, Sweeper};

/// How long jobs under way may take after the shutdown began: longer than the 20 s that one takes at most.
const DRAIN: Duration = Duration::from_secs(25);
/// How long the last results may take to be written.
const LAST_WRITE: Duration = Duration::from_secs(4);

/// How many jobs run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    pub webhook: usize,
    pub mail: usize,
    /// Projects whose values are sealed anew.
    pub keys: usize,
    /// Webhooks that past events are delivered to once more.
    pub recovery: usize,
    /// Backups that are made or restored.
    pub backup: usize,
    /// Of one lane: one webhook endpoint, the mail of one account.
    pub per_lane: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            webhook: 256,
            mail: 16,
            keys: 2,
            recovery: 2,
            backup: 1,
            per_lane: 32,
        }
    }
}

/// What a worker works with.
pub struct Deps {
    pub db: Db,
    pub keys: Arc<KeyStore>,
    pub bell: Arc<dyn Bell>,
    pub egress: Egress,
    pub mailer: Mailer,
    pub backups: Arc<Plan>,
    /// The origin that links in mails lead to.
    pub base_url: Url,
    /// Tells workers apart in the log of attempts; see [`process_name`].
    pub name: String,
    pub limits: Slots,
}

/// Runs jobs until it is told to stop.
pub struct Worker {
    deps: Deps,
}

impl Worker {
    /// A worker that does not run yet.
    pub fn new(deps: Deps) -> Self {
        Self { deps }
    }

    /// Runs until `shutdown`, then claims no more, gives back what was not begun, waits up to 25 s for what is under
    /// way, and writes the results. It also returns when one of its loops broke down, which the log tells.
    pub async fn run(self, shutdown: CancellationToken) {
        let stop = shutdown.child_token();
        let (db, name) = (self.deps.db.clone(), self.deps.name.clone());
        let (results, incoming) = mpsc::channel(BACKLOG);
        let finisher = Finisher { db, name: name.clone() };
        let finisher = tokio::spawn(finisher.run(incoming));
        let (mut loops, runner) = self.start(results, &stop);
        tracing::info!(worker = name, "the worker runs");
        tokio::select! {
            // The loops end at a shutdown too, and that is no breakdown.
            biased;
            () = shutdown.cancelled() => {}
            Some(ended) = loops.join_next() => tracing::error!(?ended, "a loop of the worker broke down"),
        }
        stop.cancel();
        drain(loops, runner).await;
        if tokio::time::timeout(LAST_WRITE, finisher).await.is_err() {
            tracing::error!("the last results could not be written; their jobs will run again");
        }
        tracing::info!(worker = name, "the worker has stopped");
    }

    fn start(self, results: mpsc::Sender<Kept>, stop: &CancellationToken) -> (JoinSet<()>, Arc<Runner>) {
        let Deps {
            db,
            keys,
            bell,
            egress,
            mailer,
            backups,
            base_url,
            name,
            limits,
        } = self.deps;
        let rings = Rings {
            webhook: Arc::new(Ring::new(limits.webhook, limits.per_lane)),
            mail: Arc::new(Ring::new(limits.mail, limits.per_lane)),
            // One at a time of each project: two would do the same.
            keys: Arc::new(Ring::new(limits.keys, 1)),
            recovery: Arc::new(Ring::new(limits.recovery, 1)),
            backup: Arc::new(Ring::new(limits.backup, 1)),
        };
        let deliver = DeliverWebhook {
            db: db.clone(),
            keys: Arc::clone(&keys),
            bell: Arc::clone(&bell),
            egress,
        };
        let mail = SendMail {
            db: db.clone(),
            keys: Arc::clone(&keys),
            bell: Arc::clone(&bell),
            mailer,
            base_url,
        };
        let reencrypt = Reencrypt {
            db: db.clone(),
            keys: Arc::clone(&keys),
            shutdown: stop.clone(),
        };
        let recover = RecoverWebhook {
            db: db.clone(),
            bell: Arc::clone(&bell),
            shutdown: stop.clone(),
        };
        let backup = BackUp {
            db: db.clone(),
            keys: Arc::clone(&keys),
            plan: Arc::clone(&backups),
            shutdown: stop.clone(),
        };
        let runner = Arc::new(Runner::new(
            db.clone(),
            Handlers::new(deliver, mail, reencrypt, recover, backup),
            results,
            stop.clone(),
        ));
        let mut loops = JoinSet::new();
        for kind in JobKind::ALL {
            let dispatcher = Dispatcher {
                db: db.clone(),
                name: name.clone(),
                kind,
                ring: Arc::clone(rings.of(kind)),
                runner: Arc::clone(&runner),
            };
            loops.spawn(dispatcher.run(stop.clone()));
        }
        loops.spawn(listen(Arc::clone(&bell), rings.clone(), stop.clone()));
        loops.spawn(housekeeping::run(db.clone(), keys, stop.clone()));
        loops.spawn(backups::run(db.clone(), backups, bell, stop.clone()));
        loops.spawn(Sweeper { db, rings }.run(stop.clone()));
        (loops, runner)
    }
}

/// Hands the lanes that are rung to their rings.
async fn listen(bell: Arc<dyn Bell>, rings: Rings, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            lanes = bell.next() => rings.rung(&lanes),
        }
    }
}

/// Waits for the loops, which first end the claims under way, and then for the jobs.
async fn drain(mut loops: JoinSet<()>, runner: Arc<Runner>) {
    let tasks = runner.tasks.clone();
    let quiet = async {
        while loops.join_next().await.is_some() {}
        tasks.close();
        tasks.wait().await;
    };
    if tokio::time::timeout(DRAIN, quiet).await.is_err() {
        tracing::warn!(jobs = tasks.len(), "the drain time is over: jobs under way are cut");
        loops.shutdown().await;
        runner.cut.cancel();
        tasks.close();
        tasks.wait().await;
    }
}

/// A name that no other process has: `<host>:<uuid>`.
///
/// # Errors
/// [`domain::kernel::Error::Internal`] without random numbers.
pub fn process_name(db: &Db) -> Result<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "worker",
        host => host,
    };
    Ok(format!("{host}:{}", db.rng().uuid(db.now())?))
}
