//! A database with one organisation, and workers on it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::access::{self, Actor, ActorKind, Caller, CredentialKind, Origin, Principal};
use domain::auth::register::{self, Registration};
use domain::auth::session::Transport;
use domain::backups::Plan;
use domain::billing::Billing;
use domain::crypto::RootKeyring;
use domain::crypto::key_store::KeyStore;
use domain::egress::{Egress, EgressPolicy, Timeouts};
use domain::jobs::entity::{attempt, job};
use domain::jobs::{self, Bell, JobState, LocalBell, Rate};
use domain::journal::{self, Action, Entry, Target};
use domain::kernel::config::Config;
use domain::kernel::id::{CredentialId, JobId, OrgId, UserId, WebhookId};
use domain::kernel::{Clock, Db, Reads, Rng, Secret};
use domain::metrics::Registry;
use domain::webhooks::endpoint::{self, FilterInput, NewWebhook};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::handlers::{
    ApplyBilling, BackUp, DeliverWebhook, Handlers, RecoverWebhook, Reencrypt, SecretCache, SendMail,
};
use crate::metrics::Metrics;
use crate::ring::{Limits, Ring, Seat};
use crate::run::Taken;
use crate::{Deps, Mailer, Slots, Traces, Worker};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) struct World {
    pub(super) db: Db,
    pub(super) keys: Arc<KeyStore>,
    pub(super) bell: Arc<LocalBell>,
    pub(super) org: OrgId,
    pub(super) caller: Caller,
    pub(super) dir: TempDir,
    /// What its workers count.
    pub(super) registry: Registry,
    /// Where its workers tell of attempts; nowhere, unless a test sets it.
    pub(super) traces: Traces,
}

/// A worker that runs.
pub(super) struct Running {
    pub(super) shutdown: CancellationToken,
    pub(super) ended: JoinHandle<()>,
}

impl Running {
    /// Stops it as SIGTERM would.
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.ended.await.unwrap();
    }
}

fn origin() -> Origin {
    Origin {
        actor: ActorKind::System,
        actor_id: None,
        actor_label: None,
        credential: None,
        ip: None,
        user_agent: None,
        request_id: None,
    }
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with_clock(Clock::system()).await
    }

    pub(super) async fn with_clock(clock: Clock) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = Db::sqlite_url(&dir.path().join("test.db"));
        let db = Db::connect(&url, clock, Rng::system()).await.unwrap();
        db.migrate().await.unwrap();
        let roots = RootKeyring::parse(&RootKeyring::generate(db.rng()).unwrap()).unwrap();
        let keys = Arc::new(KeyStore::open(&db, roots).await.unwrap());
        let (user, org) = register(&db, &keys).await;
        let caller = Caller {
            actor: Actor::unlimited(Principal::User(user)),
            kind: CredentialKind::Session,
            credential: CredentialId(db.rng().uuid(db.now()).unwrap()),
            auth_time: Some(db.now()),
            has_second_factor: false,
            is_superuser: false,
            origin: origin(),
            recall: None,
            decided: Arc::default(),
        };
        Self {
            db,
            keys,
            bell: Arc::default(),
            org,
            caller,
            dir,
            registry: Registry::default(),
            traces: Traces::default(),
        }
    }

    pub(super) fn user(&self) -> UserId {
        self.caller.user().unwrap()
    }

    /// An endpoint that wants everything, and its signing secret.
    pub(super) async fn webhook(&self, url: &str) -> (WebhookId, Secret<String>) {
        self.webhook_with(url, false, None).await
    }

    /// The same, with an order or a rate.
    pub(super) async fn webhook_with(
        &self,
        url: &str,
        ordered: bool,
        rate: Option<Rate>,
    ) -> (WebhookId, Secret<String>) {
        let tx = self.db.begin_write().await.unwrap();
        let access = access::org(&tx, &self.caller, &self.org.to_string()).await.unwrap();
        let new = NewWebhook {
            url: url.to_owned(),
            events: vec!["*".to_owned()],
            description: String::new(),
            filter: FilterInput::default(),
            hash_key_names: false,
            ordered,
            rate,
            enabled: true,
        };
        let made = endpoint::create(&tx, &self.keys, &policy(), &self.caller, &access, new)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        (made.webhook.id, made.fresh.secret)
    }

    /// Records `count` events that every endpoint wants; returns the lanes to ring.
    pub(super) async fn emit(&self, count: usize) -> Vec<String> {
        let tx = self.db.begin_write().await.unwrap();
        for _ in 0..count {
            let entry =
                Entry::in_org(self.org, Action::OrgUpdated, Target::Org(self.org)).with("changed", vec!["name"]);
            journal::record(&tx, &origin(), entry).await.unwrap();
        }
        tx.commit().await.unwrap()
    }

    /// Claims the due jobs of these lanes for a worker that is not there.
    pub(super) async fn steal(&self, lanes: &[String]) -> Vec<Taken> {
        let ring = Arc::new(Ring::new(Limits::plain(16, 8)));
        let asked: Vec<(String, u32)> = lanes.iter().map(|lane| (lane.clone(), 8)).collect();
        let at = self.db.queue_now();
        let claim = jobs::claim(&self.db, &asked, "ghost").await.unwrap();
        let taken = |job: jobs::Claimed| Taken {
            at,
            claimed_at: Instant::now(),
            seat: Seat::new(&ring, &job.lane, job.org_id),
            one_by_one: false,
            is_timed: false,
            job,
        };
        claim.jobs.into_iter().map(taken).collect()
    }

    pub(super) fn metrics(&self) -> Metrics {
        Metrics::new(&self.registry)
    }

    pub(super) fn mail_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("mail")
    }

    pub(super) fn file_mailer(&self) -> Mailer {
        Mailer::files(&self.mail_dir(), sender())
    }

    pub(super) fn egress(&self) -> Egress {
        let egress = Egress::new(policy(), Timeouts::default()).unwrap();
        egress.with_clock(self.db.clock().clone())
    }

    pub(super) fn handlers(&self) -> Handlers {
        let deliver = DeliverWebhook {
            db: self.db.clone(),
            keys: Arc::clone(&self.keys),
            bell: self.bell.clone(),
            egress: self.egress(),
            opened: Arc::new(SecretCache::default()),
        };
        let mail = SendMail {
            db: self.db.clone(),
            keys: Arc::clone(&self.keys),
            bell: self.bell.clone(),
            mailer: self.file_mailer(),
            base_url: base_url(),
        };
        let stop = CancellationToken::new();
        let backup = BackUp {
            db: self.db.clone(),
            keys: Arc::clone(&self.keys),
            plan: self.plan(),
            shutdown: stop.clone(),
        };
        Handlers::new(
            deliver,
            mail,
            self.reencrypt(stop.clone()),
            self.recover(stop),
            self.apply(no_billing()),
            backup,
        )
    }

    pub(super) fn apply(&self, billing: Billing) -> ApplyBilling {
        ApplyBilling {
            db: self.db.clone(),
            bell: self.bell.clone(),
            billing,
        }
    }

    /// How this world is backed up: not at all.
    fn plan(&self) -> Arc<Plan> {
        let folder = self.dir.path().display().to_string();
        let env = [("STRONGROOM_DATA_DIR".to_owned(), folder)];
        let config = Config::load(env.into_iter(), |_| Err(std::io::ErrorKind::NotFound.into())).unwrap();
        Arc::new(Plan::without_roots(&config).unwrap())
    }

    pub(super) fn recover(&self, shutdown: CancellationToken) -> RecoverWebhook {
        RecoverWebhook {
            db: self.db.clone(),
            bell: self.bell.clone(),
            shutdown,
        }
    }

    pub(super) fn reencrypt(&self, shutdown: CancellationToken) -> Reencrypt {
        Reencrypt {
            db: self.db.clone(),
            keys: Arc::clone(&self.keys),
            shutdown,
        }
    }

    pub(super) fn start(&self, name: &str) -> Running {
        self.start_with(name, self.bell.clone(), self.file_mailer())
    }

    pub(super) fn start_with(&self, name: &str, bell: Arc<dyn Bell>, mailer: Mailer) -> Running {
        let worker = Worker::new(Deps {
            db: self.db.clone(),
            keys: Arc::clone(&self.keys),
            bell,
            egress: self.egress(),
            mailer,
            billing: no_billing(),
            backups: self.plan(),
            base_url: base_url(),
            name: name.to_owned(),
            // A narrow window, so that tests see it.
            limits: Slots {
                per_lane: 8,
                ..Slots::default()
            },
            registry: self.registry.clone(),
            traces: self.traces.clone(),
        });
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(worker.run(shutdown.clone()));
        Running { shutdown, ended }
    }

    /// The jobs of a kind: `webhook`, `mail`, `keys` or `recovery`.
    pub(super) async fn jobs(&self, kind: &str) -> Vec<job::Model> {
        job::Entity::find()
            .filter(job::Column::Kind.eq(kind))
            .order_by_asc(job::Column::Id)
            .all(self.db.conn())
            .await
            .unwrap()
    }

    /// The jobs that somebody has a lease of.
    async fn held(&self) -> HashSet<JobId> {
        let all = self.db.sql("SELECT job_id FROM job_leases", []);
        let rows = self.db.conn().query_all_raw(all).await.unwrap();
        rows.iter()
            .map(|row| JobId(row.try_get("", "job_id").unwrap()))
            .collect()
    }

    pub(super) async fn count(&self, kind: &str, state: JobState) -> usize {
        // First the leases: no job is seen to go back to where it waited.
        let held = self.held().await;
        let jobs = self.jobs(kind).await;
        jobs.iter()
            .filter(|job| JobState::stored(job.state, held.contains(&job.id)).unwrap() == state)
            .count()
    }

    /// Waits until that many jobs of a kind are in the state.
    pub(super) async fn wait_for(&self, kind: &str, state: JobState, count: usize) {
        until(async || self.count(kind, state).await == count).await;
    }

    /// The log of attempts at a job, by their numbers.
    pub(super) async fn attempts(&self, job: &job::Model) -> Vec<attempt::Model> {
        attempt::Entity::find()
            .filter(attempt::Column::JobId.eq(job.id))
            .order_by_asc(attempt::Column::N)
            .all(self.db.conn())
            .await
            .unwrap()
    }

    /// The outcomes of the attempts at a job, by their numbers.
    pub(super) async fn outcomes(&self, job: &job::Model) -> Vec<String> {
        let attempts = self.attempts(job).await;
        attempts.into_iter().map(|attempt| attempt.outcome).collect()
    }

    /// Changes the database behind everybody's back.
    pub(super) async fn sql(&self, sql: &str) {
        let tx = self.db.begin_write().await.unwrap();
        tx.conn().execute_raw(tx.sql(sql, [])).await.unwrap();
        tx.commit_bookkeeping().await.unwrap();
    }
}

async fn register(db: &Db, keys: &KeyStore) -> (UserId, OrgId) {
    let password = Secret::new("correct horse battery staple 42".to_owned());
    let registration = Registration::check("dana@example.com", &password, "Dana", "Dahl").unwrap();
    let tx = db.begin_write().await.unwrap();
    let hash = "no password fits".to_owned();
    let made = register::register(&tx, keys, registration, hash, Transport::Bearer, &origin())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    (made.account.id, made.org.id)
}

fn policy() -> EgressPolicy {
    EgressPolicy {
        allow: vec!["127.0.0.0/8".parse().unwrap()],
    }
}

pub(super) fn sender() -> lettre::message::Mailbox {
    "Acme Secrets <secrets@example.com>".parse().unwrap()
}

/// An instance that sells nothing.
pub(super) fn no_billing() -> Billing {
    Billing::new(None, Vec::new(), base_url())
}

pub(super) fn base_url() -> Url {
    Url::parse("https://vault.example.com").unwrap()
}

/// Waits until it holds; fails after 15 s.
pub(super) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "it did not happen in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
