//! The worker as a whole: its loops, and how it stops.

use std::sync::Arc;
use std::time::Duration;

use domain::backups::Plan;
use domain::billing::Billing;
use domain::crypto::key_store::KeyStore;
use domain::egress::Egress;
use domain::jobs::{Bell, JobKind};
use domain::kernel::{Db, Reads, Result};
use domain::metrics::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::backups;
use crate::dispatch::Dispatcher;
use crate::finisher::{BACKLOG, Finisher, Kept};
use crate::handlers::{
    ApplyBilling, BackUp, DeliverWebhook, Handlers, RecoverWebhook, Reencrypt, SecretCache, SendMail,
};
use crate::housekeeping;
use crate::looks;
use crate::mailer::Mailer;
use crate::metrics::{BellSource, Metrics};
use crate::ring::{Limits, Ring};
use crate::run::Runner;
use crate::sweeper::{Rings, Sweeper};
use crate::traces::Traces;

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
    /// Customers of whom Stripe is asked.
    pub billing: usize,
    /// Backups that are made or restored.
    pub backup: usize,
    /// Of one lane: one webhook endpoint, the mail of one account. Endpoints find their own pace up to that.
    pub per_lane: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            webhook: 256,
            mail: 16,
            keys: 2,
            recovery: 2,
            billing: 4,
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
    pub billing: Billing,
    pub backups: Arc<Plan>,
    /// The origin that links in mails lead to.
    pub base_url: Url,
    /// Tells workers apart in the log of attempts; see [`process_name`].
    pub name: String,
    pub limits: Slots,
    /// Where it counts what it does.
    pub registry: Registry,
    /// Where it tells of each attempt.
    pub traces: Traces,
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
        let metrics = Metrics::new(&self.deps.registry);
        let (results, incoming) = mpsc::channel(BACKLOG);
        let finisher = Finisher {
            db,
            name: name.clone(),
            metrics: metrics.clone(),
        };
        let finisher = tokio::spawn(finisher.run(incoming));
        let (mut loops, runner) = self.start(results, &metrics, &stop);
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

    fn start(
        self,
        results: mpsc::Sender<Kept>,
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> (JoinSet<()>, Arc<Runner>) {
        let (db, name, bell) = (
            self.deps.db.clone(),
            self.deps.name.clone(),
            Arc::clone(&self.deps.bell),
        );
        let keys = Arc::clone(&self.deps.keys);
        let rings = rings(&self.deps.limits);
        let (billing, plan) = (self.deps.billing.clone(), Arc::clone(&self.deps.backups));
        let traces = self.deps.traces.clone();
        let handlers = self.handlers(stop);
        let runner = Runner::new(db.clone(), handlers, results, metrics.clone(), stop.clone());
        let runner = Arc::new(runner.traced(traces));
        let mut loops = JoinSet::new();
        for kind in JobKind::ALL {
            let dispatcher = Dispatcher {
                db: db.clone(),
                name: name.clone(),
                kind,
                ring: Arc::clone(rings.of(kind)),
                runner: Arc::clone(&runner),
                metrics: metrics.clone(),
            };
            loops.spawn(dispatcher.run(stop.clone()));
        }
        loops.spawn(looks::run(db.clone(), Arc::clone(&bell), billing, stop.clone()));
        loops.spawn(backups::run(db.clone(), plan, Arc::clone(&bell), stop.clone()));
        loops.spawn(listen(bell, rings.clone(), metrics.clone(), stop.clone()));
        loops.spawn(housekeeping::run(db.clone(), keys, stop.clone()));
        loops.spawn(metrics.clone().measure(db.clone(), stop.clone()));
        let metrics = metrics.clone();
        loops.spawn(Sweeper { db, rings, metrics }.run(stop.clone()));
        (loops, runner)
    }

    fn handlers(self, stop: &CancellationToken) -> Handlers {
        let Deps {
            db,
            keys,
            bell,
            egress,
            mailer,
            billing,
            backups,
            base_url,
            name: _,
            limits: _,
            registry: _,
            traces: _,
        } = self.deps;
        let deliver = DeliverWebhook {
            db: db.clone(),
            keys: Arc::clone(&keys),
            bell: Arc::clone(&bell),
            egress,
            opened: Arc::new(SecretCache::default()),
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
        let apply = ApplyBilling {
            db: db.clone(),
            bell,
            billing,
        };
        let backup = BackUp {
            db,
            keys,
            plan: backups,
            shutdown: stop.clone(),
        };
        Handlers::new(deliver, mail, reencrypt, recover, apply, backup)
    }
}

fn rings(limits: &Slots) -> Rings {
    let Slots {
        webhook,
        mail,
        keys,
        recovery,
        billing,
        backup,
        per_lane,
    } = *limits;
    let ring = |limits| Arc::new(Ring::new(limits));
    Rings {
        webhook: ring(Limits::adaptive(webhook, per_lane)),
        mail: ring(Limits::plain(mail, per_lane)),
        // One at a time of each project: two would do the same.
        keys: ring(Limits::plain(keys, 1)),
        recovery: ring(Limits::plain(recovery, 1)),
        // One at a time of each customer: the first answers for all that wait.
        billing: ring(Limits::plain(billing, 1)),
        backup: ring(Limits::plain(backup, 1)),
    }
}

/// Hands the lanes that are rung to their rings.
async fn listen(bell: Arc<dyn Bell>, rings: Rings, metrics: Metrics, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            lanes = bell.next() => {
                metrics.rung(BellSource::Commit, lanes.len());
                rings.rung(&lanes);
            }
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
