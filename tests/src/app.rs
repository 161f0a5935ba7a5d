//! An application for one test: its own database, its own data folder, a real listener, the worker inside.
#![expect(clippy::expect_used, clippy::panic, reason = "harness: a failure ends the test")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api::serve::{self, Ambient, Started};
use domain::kernel::config::{Config, PasswordCosts};
use domain::kernel::{Clock, Db, Rng, Timestamp};
use sea_orm::sqlx::types::Uuid;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::servers::{Postgres, Redis};

/// The two ways to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// SQLite, everything in one process.
    Sqlite,
    /// PostgreSQL and Redis.
    Postgres,
}

/// Logical databases of a Redis server; each test rings in one of them.
const REDIS_DATABASES: u32 = 16;

/// The servers of this run: those that `with_servers` started, or our own for as long as this process lives.
struct Servers {
    postgres_url: String,
    redis_url: String,
    _own: Option<(Postgres, Redis)>,
}

fn servers() -> &'static Servers {
    static SERVERS: OnceLock<Servers> = OnceLock::new();
    SERVERS.get_or_init(|| {
        let given = |name: &str| environment(name);
        if let (Some(postgres_url), Some(redis_url)) = (
            given("STRONGROOM_TEST_POSTGRES_URL"),
            given("STRONGROOM_TEST_REDIS_URL"),
        ) {
            return Servers {
                postgres_url,
                redis_url,
                _own: None,
            };
        }
        let (postgres, redis) = (Postgres::start_fast(), Redis::start());
        Servers {
            postgres_url: postgres.url("postgres"),
            redis_url: redis.url(),
            _own: Some((postgres, redis)),
        }
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the harness is told by the environment where its servers are, and how much a test is to do"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A number that whoever runs the tests has set: how much a test is to do, or from which seed.
///
/// # Panics
/// When it is set to something else.
pub fn number_from_environment(name: &str) -> Option<u64> {
    let text = environment(name)?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Whether everything must run: nothing is left out for what is missing.
pub fn is_ci() -> bool {
    environment("CI").is_some_and(|ci| !ci.is_empty() && ci != "false")
}

/// An empty database of this run, migrated once and copied for every test.
async fn template_file() -> &'static Path {
    static TEMPLATE: OnceCell<(TempDir, PathBuf)> = OnceCell::const_new();
    let (_, path) = TEMPLATE
        .get_or_init(|| async {
            let dir = TempDir::new().expect("make a temporary folder");
            let path = dir.path().join("template.db");
            migrate(&Db::sqlite_url(&path)).await;
            (dir, path)
        })
        .await;
    path
}

async fn migrate(url: &str) {
    let db = Db::connect(url, Clock::system(), Rng::system())
        .await
        .expect("connect to the template");
    db.migrate().await.expect("migrate the template");
    db.close().await;
}

/// Replaces the database of a PostgreSQL URL.
pub fn database_url(server: &str, database: &str) -> String {
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    format!("{base}/{database}")
}

async fn admin() -> DatabaseConnection {
    let mut options = sea_orm::ConnectOptions::new(&servers().postgres_url);
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("connect to PostgreSQL")
}

/// A fresh PostgreSQL database with the schema in it; returns its URL.
pub async fn postgres_database() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    static COPYING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let template = TEMPLATE
        .get_or_init(|| async {
            let name = format!("template_{}", Uuid::new_v4().simple());
            admin()
                .await
                .execute_unprepared(&format!("CREATE DATABASE {name}"))
                .await
                .expect("make the template");
            migrate(&database_url(&servers().postgres_url, &name)).await;
            name
        })
        .await;
    let name = format!("test_{}", Uuid::new_v4().simple());
    // PostgreSQL copies a template for one at a time.
    let _one = COPYING.lock().await;
    let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
    let admin = admin().await;
    for _ in 0..50 {
        if admin.execute_unprepared(&sql).await.is_ok() {
            return database_url(&servers().postgres_url, &name);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the template database could not be copied");
}

/// A PostgreSQL database with nothing in it; returns its URL.
///
/// # Panics
/// When it cannot be made.
pub async fn empty_postgres_database() -> String {
    let name = format!("empty_{}", Uuid::new_v4().simple());
    admin()
        .await
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await
        .expect("make an empty database");
    database_url(&servers().postgres_url, &name)
}

/// A Redis URL of a logical database that few other tests ring in.
pub fn redis_url() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "{}/{}",
        servers().redis_url.trim_end_matches('/'),
        NEXT.fetch_add(1, Ordering::Relaxed) % REDIS_DATABASES
    )
}

/// How an application is to be started.
#[derive(Clone)]
pub struct Options {
    pub backend: Backend,
    /// Extra settings, `("STRONGROOM_REGISTRATION", "closed")`.
    pub settings: Vec<(&'static str, String)>,
    /// `None`: the wall clock.
    pub clock: Option<Timestamp>,
    /// What a password costs; little, unless the test is about it.
    /// `None`: what the configuration says.
    pub passwords: Option<PasswordCosts>,
}

impl Options {
    pub fn new(backend: Backend) -> Self {
        Self {
            backend,
            settings: Vec::new(),
            clock: None,
            passwords: Some(PasswordCosts::cheap_for_tests()),
        }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((name, value.into()));
        self
    }

    /// Stops the clock; the test moves it with [`TestApp::advance`].
    #[must_use]
    pub fn stopped_clock(mut self) -> Self {
        self.clock = Some(Timestamp::parse("2030-01-02T03:04:05Z").expect("an instant"));
        self
    }
}

/// A running application.
pub struct TestApp {
    pub backend: Backend,
    /// Origin of the API: `http://127.0.0.1:41234`.
    pub url: String,
    /// The data folder.
    pub dir: Arc<TempDir>,
    pub clock: Clock,
    started: Started,
    shutdown: CancellationToken,
}

impl TestApp {
    pub async fn spawn(backend: Backend) -> Self {
        Self::start(Options::new(backend)).await
    }

    /// # Panics
    /// When it does not start.
    pub async fn start(options: Options) -> Self {
        let dir = TempDir::new().expect("make a temporary folder");
        let Options {
            backend,
            settings,
            clock,
            passwords,
        } = options;
        let clock = clock.map_or_else(Clock::system, Clock::manual);
        let mut env = vec![
            ("STRONGROOM_LISTEN", "127.0.0.1:0".to_owned()),
            ("STRONGROOM_DATA_DIR", dir.path().display().to_string()),
            // Every test comes from one address.
            ("STRONGROOM_RATE_LIMIT_SCALE", "0".to_owned()),
            // Nobody sends requests who must be given notice.
            ("STRONGROOM_DRAIN_DELAY", "0".to_owned()),
            // Receivers of tests listen here.
            ("STRONGROOM_EGRESS_ALLOW", "127.0.0.0/8".to_owned()),
        ];
        match backend {
            Backend::Sqlite => {
                let file = dir.path().join("strongroom.db");
                std::fs::copy(template_file().await, &file).expect("copy the template");
                std::fs::write(dir.path().join("root.key"), fresh_root_key()).expect("write a root key");
            }
            Backend::Postgres => env.extend([
                ("STRONGROOM_DATABASE_URL", postgres_database().await),
                ("STRONGROOM_REDIS_URL", redis_url()),
                ("STRONGROOM_WORKER", "embedded".to_owned()),
                ("STRONGROOM_ROOT_KEY", fresh_root_key()),
                ("STRONGROOM_BACKUP_KEY", fresh_root_key()),
            ]),
        }
        // What the test says counts, also when it says nothing.
        env.retain(|(name, _)| settings.iter().all(|(said, _)| said != name));
        env.extend(settings);
        let env = env.into_iter().map(|(name, value)| (name.to_owned(), value));
        let config = Config::load(env, |path| std::fs::read_to_string(path)).expect("a configuration");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ambient = Ambient {
            clock: clock.clone(),
            rng: Rng::system(),
            passwords,
        };
        let shutdown = CancellationToken::new();
        let started = serve::start(config, ambient, shutdown.clone())
            .await
            .expect("the application starts");
        let url = format!("http://{}", started.address);
        Self {
            backend,
            url,
            dir: Arc::new(dir),
            clock,
            started,
            shutdown,
        }
    }

    /// The database, for looking behind the curtain.
    pub fn db(&self) -> &Db {
        &self.started.app.db
    }

    /// What the operations work with.
    pub fn app(&self) -> &api::app::App {
        &self.started.app
    }

    /// Where Prometheus asks for metrics, for a test that has set it.
    pub fn metrics_url(&self) -> Option<String> {
        self.started
            .metrics_address
            .map(|address| format!("http://{address}/metrics"))
    }

    /// The published document.
    pub fn document(&self) -> &serde_json::Value {
        &self.started.document
    }

    /// The one-time token of the start.
    pub fn setup_token(&self) -> Option<&str> {
        self.started
            .setup_token
            .as_ref()
            .map(domain::crypto::token::Token::expose)
    }

    /// A client that shows no credential.
    pub fn anonymous(&self) -> Client {
        Client::new(&self.url)
    }

    /// Moves a stopped clock.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Runs a statement on the test's database.
    ///
    /// # Panics
    /// When the database refuses it.
    pub async fn sql(&self, statement: &str) {
        let tx = self.db().begin_write().await.expect("open a transaction");
        tx.execute_unprepared(statement).await.expect("run the statement");
        tx.commit_bookkeeping().await.expect("commit");
    }

    /// Leaves the jobs of a kind as a worker does that took them, and whose leases end then, in microseconds.
    ///
    /// # Panics
    /// When the database refuses it.
    pub async fn hold_jobs(&self, kind: &str, until: i64) {
        let again = format!("UPDATE jobs SET state = 0, done_at = NULL WHERE kind = '{kind}'");
        let leases = format!(
            "INSERT INTO job_leases (job_id, lease_id, lease_until, worker, begun)
             SELECT id, id, {until}, 'ghost', FALSE FROM jobs WHERE kind = '{kind}'
             ON CONFLICT (job_id) DO UPDATE SET lease_id = excluded.lease_id, lease_until = excluded.lease_until"
        );
        let tx = self.db().begin_write().await.expect("open a transaction");
        for statement in [again, leases] {
            tx.execute_unprepared(&statement).await.expect("run the statement");
        }
        tx.commit_bookkeeping().await.expect("commit");
    }

    /// One number from the test's database.
    ///
    /// # Panics
    /// When the query gives none.
    pub async fn number(&self, query: &str) -> i64 {
        use domain::kernel::Reads;
        let row = self
            .db()
            .conn()
            .query_one_raw(self.db().sql(query, []))
            .await
            .expect("run the query")
            .expect("a row");
        row.try_get_by_index(0).expect("a number")
    }

    /// Stops the application as SIGTERM does and waits until everything is written.
    pub async fn stop(self) -> Arc<TempDir> {
        self.shutdown.cancel();
        self.started.ended().await;
        self.dir
    }
}

/// A key as the settings take it.
///
/// # Panics
/// Without random numbers.
pub fn fresh_root_key() -> String {
    domain::crypto::keyring::RootKeyring::generate(&Rng::system())
        .expect("a root key")
        .expose()
        .clone()
}

/// Runs a test in a runtime of its own, for at most four minutes.
///
/// # Panics
/// When the test does, or takes too long.
pub fn run<F: Future<Output = ()>>(test: F) {
    run_for(Duration::from_mins(4), test);
}

/// The same for a test that can be told to do more.
///
/// # Panics
/// When the test does, or takes too long.
pub fn run_for<F: Future<Output = ()>>(limit: Duration, test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let ended = tokio::time::timeout(limit, test).await;
        assert!(ended.is_ok(), "the test does not end within {limit:?}");
    });
    runtime.shutdown_background();
}

/// Waits until something holds.
///
/// # Panics
/// When it does not within ten seconds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes of an `async fn name(t: TestApp)` two tests, one for each way to run.
#[macro_export]
macro_rules! on_both {
    ($($(#[$meta:meta])* async fn $name:ident($t:ident: TestApp) $body:block)*) => {$(
        $(#[$meta])*
        async fn $name($t: $crate::TestApp) $body

        mod $name {
            #[test]
            fn sqlite() {
                $crate::app::run(async { super::$name($crate::TestApp::spawn($crate::Backend::Sqlite).await).await });
            }

            #[test]
            fn postgres() {
                $crate::app::run(async { super::$name($crate::TestApp::spawn($crate::Backend::Postgres).await).await });
            }
        }
    )*};
}

/// Makes of an `async fn name(backend: Backend)` two tests, for a test that starts the application itself.
#[macro_export]
macro_rules! on_each_backend {
    ($($(#[$meta:meta])* async fn $name:ident($backend:ident: Backend) $body:block)*) => {$(
        $(#[$meta])*
        async fn $name($backend: $crate::Backend) $body

        mod $name {
            #[test]
            fn sqlite() {
                $crate::app::run(super::$name($crate::Backend::Sqlite));
            }

            #[test]
            fn postgres() {
                $crate::app::run(super::$name($crate::Backend::Postgres));
            }
        }
    )*};
}
