//! The start and the end of a process that serves: configuration in, listening socket out.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use domain::access::AccessMemory;
use domain::auth::Lookups;
use domain::auth::register::Registration;
use domain::auth::throttle::Throttle;
use domain::backups::Plan;
use domain::crypto::key_store::KeyStore;
use domain::crypto::keyring::{KeyringError, RootKeyring};
use domain::crypto::password::Passwords;
use domain::egress::{Egress, EgressPolicy, Timeouts};
use domain::foreign::Issuers;
use domain::jobs::{Bell, LocalBell};
use domain::journal::ReadAudit;
use domain::kernel::config::{Config, DatabaseChoice, MigrateMode, PasswordCosts, WorkerMode};
use domain::kernel::{Clock, Db, Error, Reads, Rng, Secret};
use domain::limits;
use domain::limits::meter::Meter;
use domain::metrics::Registry;
use domain::request_metrics::Recorder;
use domain::secrets::WarmReads;
use domain::secrets::together::Writers;
use domain::secrets::watchers::{WatchLimits, Watchers};
use domain::signing::Signer;
use domain::webhooks::followers::Followers;
use poem::http::Method;
use poem::middleware::CookieJarManager;
use poem::{Endpoint, EndpointExt, IntoEndpoint, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use worker::signals::Shutdown;
use worker::{Deps, Mailer, RedisBell, RedisNotices, Slots, Traces, Worker, process_name};

use crate::apis::{self, Apis, PUBLIC};
use crate::app::App;
use crate::docs::{self, Document};
use crate::draining;
use crate::hashing;
use crate::http::body::BodyRules;
use crate::http::edge::{self, EdgeConfig};
use crate::http::fields::BodySchemas;
use crate::http::idempotency::Gate;
use crate::http::metrics::HttpMetrics;
use crate::http::rate_limit::RateLimit;
use crate::http::routes::RouteTable;
use crate::http::traces::TraceRules;
use crate::oauth;
use crate::pages;
use crate::prometheus;
use crate::rate_classes::class_of;
use crate::server::{self, ServerLimits};
use crate::setup::first_run::FirstRun;

/// Name of the root key's file in the data folder.
const ROOT_KEY_FILE: &str = "root.key";
/// How long changes whose client has left may take after the server has stopped.
const CHANGES_DRAIN: Duration = Duration::from_secs(10);

/// How long the requests of the last minute may take to be written down.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// Walks over all that a project stores, at once: each holds a connection for as long as it takes.
const WALKS: usize = 1;
/// How often old secrets and keys are wiped from memory when nobody asks for any.
const TIDY_EVERY: Duration = Duration::from_secs(30);
/// Bytes.
const MEBIBYTE: u64 = 1024 * 1024;

/// Why a process does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{0}: {1}")]
    Listen(SocketAddr, io::Error),
    #[error("root key: {0}")]
    RootKey(#[from] KeyringError),
    #[error(
        "STRONGROOM_ROOT_KEY is not set. PostgreSQL is for several processes, and all need the same key. Make one with `openssl rand -base64 32`."
    )]
    NoRootKey,
    #[error("{0} exists and its root key does not: put {1} back, or set STRONGROOM_ROOT_KEY")]
    RootKeyLost(PathBuf, PathBuf),
    #[error("the schema is older than this version; run `strongroom-api migrate`")]
    NotMigrated,
    #[error(transparent)]
    Domain(#[from] Error),
    #[error("the API document: {0}")]
    Document(String),
    #[error("the administrator of STRONGROOM_ADMIN_EMAIL: {0}")]
    Admin(String),
}

/// Time and chance, and what passwords cost: arguments, so that tests can set them.
#[derive(Clone)]
pub struct Ambient {
    pub clock: Clock,
    pub rng: Rng,
    /// `None`: what the configuration says.
    pub passwords: Option<PasswordCosts>,
}

impl Default for Ambient {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            rng: Rng::system(),
            passwords: None,
        }
    }
}

/// Opens the database and the root key, and checks that they belong together before anything is written.
///
/// # Errors
/// See [`StartError`].
pub async fn open_database(config: &Config, ambient: &Ambient) -> Result<(Db, RootKeyring), StartError> {
    if let DatabaseChoice::SqliteFile(_) = &config.database {
        make_private_folder(&config.data_dir)?;
    }
    let keyring = RootKeyring::parse(&root_key(config, &ambient.rng)?)?;
    let db = Db::connect(
        config.database.url().expose(),
        ambient.clock.clone(),
        ambient.rng.clone(),
    )
    .await?
    .with_billing(config.billing());
    KeyStore::check_roots(&db, &keyring).await?;
    Ok((db, keyring))
}

/// The configured root key, or that of the data folder, which is made for a new database.
fn root_key(config: &Config, rng: &Rng) -> Result<Secret<String>, StartError> {
    if let Some(key) = &config.root_key {
        return Ok(key.clone());
    }
    let DatabaseChoice::SqliteFile(database) = &config.database else {
        return Err(StartError::NoRootKey);
    };
    let path = config.data_dir.join(ROOT_KEY_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Secret::new(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound && database.exists() => {
            Err(StartError::RootKeyLost(database.clone(), path))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = RootKeyring::generate(rng)?;
            write_private(&path, key.expose())?;
            Ok(key)
        }
        Err(source) => Err(StartError::File { path, source }),
    }
}

/// The root keys that are there already; none are made.
///
/// # Errors
/// See [`StartError`].
pub fn existing_root_keys(config: &Config) -> Result<Option<RootKeyring>, StartError> {
    let path = config.data_dir.join(ROOT_KEY_FILE);
    let text = match (&config.root_key, &config.database) {
        (Some(key), _) => key.clone(),
        (None, DatabaseChoice::SqliteFile(_)) if path.exists() => match std::fs::read_to_string(&path) {
            Ok(text) => Secret::new(text),
            Err(source) => return Err(StartError::File { path, source }),
        },
        (None, DatabaseChoice::SqliteFile(_) | DatabaseChoice::SqliteUrl(_) | DatabaseChoice::Postgres(_)) => {
            return Ok(None);
        }
    };
    Ok(Some(RootKeyring::parse(&text)?))
}

fn make_private_folder(path: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StartError::File {
        path: path.to_owned(),
        source,
    })
}

fn write_private(path: &Path, text: &str) -> Result<(), StartError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let write = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        writeln!(file, "{text}")?;
        file.sync_all()
    };
    write().map_err(|source| StartError::File {
        path: path.to_owned(),
        source,
    })
}

/// A process that serves.
pub struct Started {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where Prometheus asks for metrics.
    pub metrics_address: Option<SocketAddr>,
    /// Where people reach it.
    pub base_url: url::Url,
    /// The one-time token for the first administrator, while there is none.
    pub setup_token: Option<domain::crypto::token::Token>,
    /// The published document.
    pub document: Arc<Value>,
    /// What the operations work with.
    pub app: Arc<App>,
    task: JoinHandle<()>,
}

impl Started {
    /// Waits until the process has ended and everything is written.
    pub async fn ended(self) {
        let Self { app, task, .. } = self;
        drop(app);
        let _ = task.await;
    }
}

/// What may be called from here.
fn egress_policy(config: &Config) -> EgressPolicy {
    EgressPolicy {
        allow: config.egress_allow.clone(),
    }
}

/// Starts everything that the configuration asks for and returns when it listens.
///
/// # Errors
/// See [`StartError`]; nothing is left running then.
pub async fn start(mut config: Config, ambient: Ambient, shutdown: impl Into<Shutdown>) -> Result<Started, StartError> {
    let shutdown = shutdown.into();
    let (listener, address) = listen(config.listen).await?;
    let metrics = match config.metrics_listen {
        Some(at) => Some(listen(at).await?),
        None => None,
    };
    if config.listen.port() == 0 {
        let _ = config.base_url.set_port(Some(address.port()));
    }
    let (db, keyring) = open_database(&config, &ambient).await?;
    match config.migrate {
        MigrateMode::Auto => db.migrate().await?,
        MigrateMode::Manual if db.is_migrated().await? => {}
        MigrateMode::Manual => return Err(StartError::NotMigrated),
    }
    limits::plan::adopt_default(&db).await?;
    let backups = Arc::new(Plan::from_config(&config, &keyring)?);
    let keys = Arc::new(KeyStore::open(&db, keyring).await?);
    let passwords = hashing::passwords(&config, ambient.passwords, &keys);
    named_admin(&config, &db, &keys, &passwords).await?;
    let setup_token = setup_token(&db, &keys).await?;
    let bell = bell(&config, &process_name(&db)?)?;
    let stop = draining::stop_after(&shutdown, config.drain_delay);
    let (app, reads) = assemble(&config, &ambient, &db, (keys, passwords), bell, backups, shutdown.begun)?;
    let app = Arc::new(app);
    tokio::spawn(hashing::look_for_former_costs(app.db.clone(), app.passwords.clone()));
    let worker = embedded_worker(&config, &app, &stop)?;
    tokio::spawn(tidy(Arc::downgrade(&app)));
    let rate_limit = Arc::new(RateLimit::new(config.rate_limit_scale, &ambient.clock));
    let (service, document) = routes(&app, &rate_limit).map_err(StartError::Document)?;
    let changes = TaskTracker::new();
    let endpoint = edge::apply(
        service,
        edge_config(&config, &ambient, &app, rate_limit, changes.clone()),
    );
    let limits = ServerLimits {
        uncapped_peers: config.trusted_proxies.clone(),
        ..Default::default()
    };
    let metered = CancellationToken::new();
    let beside = Beside {
        looking: tokio::spawn(
            app.watchers
                .clone()
                .run(notices(&config)?, stop.clone().cancelled_owned()),
        ),
        following: tokio::spawn(app.followers.clone().run(stop.clone().cancelled_owned())),
        counting: tokio::spawn(app.requests.clone().run(db.clone(), stop.clone().cancelled_owned())),
        requests: app.requests.clone(),
        metering: tokio::spawn(app.meter.clone().run(metered.clone().cancelled_owned())),
        metered,
        changes,
        worker,
        reads,
        traces: app.traces.clone(),
        db,
    };
    let (metrics, metrics_address) = metrics.unzip();
    let metrics = metrics.map(|listener| prometheus::serve(listener, app.metrics.clone(), stop.clone()));
    let task = tokio::spawn(async move {
        if let Err(error) = server::serve(listener, Arc::new(endpoint), limits, stop).await {
            tracing::error!(%error, "the server has stopped");
        }
        beside.end().await;
        if let Some(metrics) = metrics {
            metrics.abort();
            let _ = metrics.await;
        }
    });
    Ok(Started {
        address,
        metrics_address,
        base_url: config.base_url,
        setup_token,
        document,
        app,
        task,
    })
}

async fn listen(at: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(at, error);
    let listener = TcpListener::bind(at).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// What the operations work with, and the writer of the reads that they record.
fn assemble(
    config: &Config,
    ambient: &Ambient,
    db: &Db,
    (keys, passwords): (Arc<KeyStore>, Passwords),
    bell: Arc<dyn Bell>,
    backups: Arc<Plan>,
    draining: CancellationToken,
) -> Result<(App, JoinHandle<()>), Error> {
    let (reads, reads_writer) = ReadAudit::start(db.clone(), config.audit_reads);
    let billing = billing::open(config, db.clock(), db.rng())?;
    let metrics = Registry::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    metrics
        .gauge("strongroom_build_info", "The version that runs.", &version)
        .set(1.0);
    let meter = Meter::new(db.clone());
    let writers = Writers::new(db.clone(), Arc::clone(&keys), Arc::clone(&bell), Arc::clone(&meter));
    let app = App {
        db: db.clone(),
        keys,
        lookups: Lookups::start(db.clone()),
        passwords,
        throttle: Throttle::default(),
        bell,
        reads,
        warm: WarmReads::new(config.secret_cache * MEBIBYTE),
        writers,
        access: AccessMemory::default(),
        walks: Semaphore::new(WALKS),
        watchers: Watchers::new(db.clone(), WatchLimits::default()),
        followers: Followers::new(db.clone()),
        meter,
        egress: EgressPolicy {
            allow: config.egress_allow.clone(),
        },
        registration: config.registration,
        billing,
        backups,
        first_run: FirstRun::new(config.clone(), draining.clone()),
        metrics,
        requests: Arc::new(Recorder::new(ambient.rng.uuid(db.now())?, ambient.clock.clone())),
        draining,
        signer: Signer::default(),
        issuers: Issuers::new(egress_policy(config), ambient.clock.clone())?,
        traces: Traces::from_config(config, "strongroom-api", &process_name(db)?)?,
        base_url: config.base_url.clone(),
    };
    Ok((app, reads_writer))
}

/// What runs beside the server and ends after it.
struct Beside {
    changes: TaskTracker,
    looking: JoinHandle<()>,
    following: JoinHandle<()>,
    counting: JoinHandle<()>,
    requests: Arc<Recorder>,
    metering: JoinHandle<()>,
    /// Ends the metering, once nothing is to be counted any more.
    metered: CancellationToken,
    worker: Option<JoinHandle<()>>,
    reads: JoinHandle<()>,
    traces: Traces,
    db: Db,
}

impl Beside {
    /// Waits until everything is written, then closes the database.
    async fn end(self) {
        let Self {
            changes,
            looking,
            following,
            counting,
            requests,
            metering,
            metered,
            worker,
            reads,
            traces,
            db,
        } = self;
        changes.close();
        if tokio::time::timeout(CHANGES_DRAIN, changes.wait()).await.is_err() {
            tracing::warn!("changes were still under way at the end; what was not committed is undone");
        }
        // They have ended with the shutdown, unless the server broke down by itself.
        for task in [looking, following] {
            task.abort();
            let _ = task.await;
        }
        if tokio::time::timeout(LAST_FLUSH, counting).await.is_err() {
            tracing::warn!("the requests of the last minute are being written for too long");
        }
        if let Err(error) = requests.flush(&db).await {
            tracing::warn!(%error, "the last requests could not be written down");
        }
        if let Some(worker) = worker {
            let _ = worker.await;
        }
        let _ = reads.await;
        metered.cancel();
        let _ = metering.await;
        traces.end().await;
        db.close().await;
    }
}

/// Wipes what lies in memory and is too old, for as long as there is an application.
async fn tidy(app: Weak<App>) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        let Some(app) = app.upgrade() else { return };
        app.warm.tidy();
        app.keys.tidy().await;
    }
}

async fn setup_token(db: &Db, keys: &KeyStore) -> Result<Option<domain::crypto::token::Token>, StartError> {
    if !domain::setup::is_open(db).await? {
        return Ok(None);
    }
    let tx = db.begin_write().await?;
    let token = domain::setup::issue_token(&tx, keys.token_mac()).await?;
    tx.commit_bookkeeping().await?;
    Ok(Some(token))
}

/// Makes the administrator that the settings name, while there is none.
async fn named_admin(config: &Config, db: &Db, keys: &KeyStore, passwords: &Passwords) -> Result<(), StartError> {
    let (Some(email), Some(password)) = (&config.admin_email, &config.admin_password) else {
        return Ok(());
    };
    // Without this look every start would hash.
    if !domain::setup::is_open(db).await? {
        return Ok(());
    }
    let checked = Registration::check(email, password, "", "").map_err(refused_admin)?;
    let hash = passwords.hash(password.clone()).await?;
    let tx = db.begin_write().await?;
    let made = domain::setup::create_named_admin(&tx, keys, checked, hash).await;
    if let Some(id) = made.map_err(refused_admin)? {
        tx.commit().await?;
        tracing::info!(user = %id, "the administrator that the settings name was made");
    } else {
        tx.rollback().await?;
    }
    Ok(())
}

/// What is wrong with it, and never what it is.
fn refused_admin(error: Error) -> StartError {
    match error {
        Error::Problem(problem) => {
            let field = problem.errors.first();
            let named = field.map(|field| format!("{} {}", field.field, field.message));
            StartError::Admin(named.unwrap_or_else(|| problem.detail.to_string()))
        }
        fault @ (Error::Db(_) | Error::Internal(_)) => StartError::Domain(fault),
    }
}

fn bell(config: &Config, name: &str) -> Result<Arc<dyn Bell>, Error> {
    match &config.redis {
        None => Ok(Arc::new(LocalBell::default())),
        Some(url) => Ok(Arc::new(RedisBell::open(url, name)?)),
    }
}

/// The way to the other processes that are watched through; without Redis they look once a second.
fn notices(config: &Config) -> Result<Option<Arc<dyn Bell>>, Error> {
    match &config.redis {
        None => Ok(None),
        Some(url) => Ok(Some(Arc::new(RedisNotices::open(url)?))),
    }
}

/// The worker inside this process, if there is to be one. Its figures belong to those of the application.
fn embedded_worker(config: &Config, app: &App, stop: &CancellationToken) -> Result<Option<JoinHandle<()>>, Error> {
    match config.worker {
        WorkerMode::External => Ok(None),
        WorkerMode::Embedded => {
            let policy = EgressPolicy {
                allow: config.egress_allow.clone(),
            };
            let worker = Worker::new(Deps {
                db: app.db.clone(),
                keys: app.keys.clone(),
                bell: app.bell.clone(),
                egress: Egress::new(policy, Timeouts::default())?.with_clock(app.db.clock().clone()),
                mailer: Mailer::from_config(config)?,
                billing: app.billing.clone(),
                backups: app.backups.clone(),
                base_url: config.base_url.clone(),
                name: process_name(&app.db)?,
                limits: Slots::default(),
                registry: app.metrics.clone(),
                traces: app.traces.clone(),
            });
            let (stop, shutdown) = (stop.clone(), app.draining.clone());
            Ok(Some(tokio::spawn(async move {
                worker.run(stop.clone()).await;
                if !stop.is_cancelled() {
                    // Whoever supervises the process starts it again; serving on would queue jobs that nobody runs.
                    tracing::error!("the worker has ended by itself; the process stops");
                    shutdown.cancel();
                }
            })))
        }
    }
}

fn edge_config(
    config: &Config,
    ambient: &Ambient,
    app: &App,
    rate_limit: Arc<RateLimit>,
    changes: TaskTracker,
) -> EdgeConfig {
    EdgeConfig {
        trusted_proxies: config.trusted_proxies.clone(),
        https: config.base_url.scheme() == "https",
        clock: ambient.clock.clone(),
        rng: ambient.rng.clone(),
        public: PUBLIC,
        routes: oauth::methods(
            RouteTable::of::<Apis>()
                .with("/openapi.json", &[Method::GET])
                .with("/openapi.yaml", &[Method::GET]),
        ),
        body: BodyRules::default(),
        class_of,
        rate_limit,
        metrics: Arc::new(HttpMetrics::new(app.metrics.clone(), app.requests.clone())),
        traces: TraceRules {
            traces: app.traces.clone(),
            callers: config.trace_callers,
            proxies: config.trusted_proxies.clone(),
        },
        draining: app.draining.clone(),
        changes,
    }
}

/// The operations behind their gate, with the documents beside them.
fn routes(
    app: &Arc<App>,
    rate_limit: &Arc<RateLimit>,
) -> Result<(impl Endpoint<Output = Response> + use<>, Arc<Value>), String> {
    let service = apis::service(app);
    let document = Arc::new(apis::document(&service.spec()).map_err(|e| e.to_string())?);
    let files = Arc::new(Document::new(document.clone()));
    let gate = Gate {
        app: app.clone(),
        bodies: BodySchemas::of(&document),
        rate_limit: rate_limit.clone(),
        inner: service.into_endpoint(),
    }
    .with(CookieJarManager::new());
    let routes = oauth::add(pages::add(docs::routes(files)), app).nest("/", gate);
    Ok((routes.map_to_response(), document))
}

/// The published document, made by a service that is opened in an empty folder and closed again.
///
/// # Errors
/// See [`StartError`].
pub async fn document() -> Result<Value, StartError> {
    let rng = Rng::system();
    let folder = std::env::temp_dir().join(format!("strongroom-{}", rng.uuid(Clock::system().now())?.simple()));
    let settings = [
        ("STRONGROOM_DATA_DIR", folder.display().to_string()),
        ("STRONGROOM_LISTEN", "127.0.0.1:0".to_owned()),
        ("STRONGROOM_DRAIN_DELAY", "0".to_owned()),
    ];
    let env = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
    let config =
        Config::load(env, |_| Err(io::ErrorKind::NotFound.into())).map_err(|e| StartError::Document(e.to_string()))?;
    let shutdown = CancellationToken::new();
    let started = start(config, Ambient::default(), shutdown.clone()).await;
    shutdown.cancel();
    let document = match started {
        Ok(started) => {
            let document = started.document.clone();
            started.ended().await;
            Ok(Arc::unwrap_or_clone(document))
        }
        Err(error) => Err(error),
    };
    let _ = std::fs::remove_dir_all(&folder);
    document
}
