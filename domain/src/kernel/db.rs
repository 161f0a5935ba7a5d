//! The database handle. Reading functions take [`Reads`]; every change goes through one [`WriteTx`], but for reads that the
//! journal records in one round trip (`at_once.rs`).

use std::collections::BTreeSet;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    IsolationLevel, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::id::EnvId;
use super::queue_clock::QueueClock;
use super::{Billing, Clock, Error, Result, Rng, Timestamp, pool};

/// How long a query waits for a free connection, or a write for SQLite's write lock.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection idle for longer is checked before it is used again, so that a database restart costs no request.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(30);
/// Readers of SQLite's WAL. Measured: 4 to 8 saturate two cores.
const SQLITE_READERS: u32 = 6;
/// Changed environments or ledgers that a listener may be behind before it misses some.
const UNHEARD: usize = 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    pub fn sea(self) -> DbBackend {
        match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Postgres => DbBackend::Postgres,
        }
    }
}

/// The connections of a process, with its clock and its source of chance.
#[derive(Clone)]
pub struct Db {
    read: DatabaseConnection,
    pub(super) write: DatabaseConnection,
    backend: Backend,
    clock: Clock,
    queue_clock: Arc<QueueClock>,
    rng: Rng,
    billing: Billing,
    news: News,
}

/// What this process is told of its own commits.
#[derive(Clone)]
struct News {
    environments: broadcast::Sender<EnvId>,
    ledgers: broadcast::Sender<Uuid>,
}

impl News {
    fn new() -> Self {
        let (environments, _) = broadcast::channel(UNHEARD);
        let (ledgers, _) = broadcast::channel(UNHEARD);
        Self { environments, ledgers }
    }
}

impl Db {
    /// Opens `sqlite://path` or `postgres://…`. The SQLite file is made if it is missing.
    ///
    /// # Errors
    /// [`Error::Db`] when the database cannot be reached.
    pub async fn connect(url: &str, clock: Clock, rng: Rng) -> Result<Self> {
        let news = News::new();
        let queue_clock = Arc::new(QueueClock::new(clock.clone()));
        if url.starts_with("sqlite:") {
            let write = Database::connect(sqlite_options(url, 1)).await?;
            let read = Database::connect(sqlite_options(url, SQLITE_READERS)).await?;
            return Ok(Self {
                read,
                write,
                backend: Backend::Sqlite,
                clock,
                queue_clock,
                rng,
                billing: Billing::OFF,
                news,
            });
        }
        let mut options = postgres_options(url);
        pool::only_primary(&mut options);
        let pool = Database::connect(options).await?;
        let db = Self {
            read: pool.clone(),
            write: pool,
            backend: Backend::Postgres,
            clock,
            queue_clock,
            rng,
            billing: Billing::OFF,
            news,
        };
        db.set_queue_clock().await?;
        Ok(db)
    }

    /// The same connections in an instance that charges like this.
    #[must_use]
    pub fn with_billing(self, billing: Billing) -> Self {
        Self { billing, ..self }
    }

    /// How this instance charges.
    pub fn billing(&self) -> Billing {
        self.billing
    }

    /// Opens one schema of a PostgreSQL database: tables are made, found and changed in it alone.
    ///
    /// # Errors
    /// [`Error::Db`] when the database cannot be reached.
    pub async fn connect_in_schema(url: &str, schema: &str, clock: Clock, rng: Rng) -> Result<Self> {
        let mut options = postgres_options(url);
        // One holds the lock of the migrations, one migrates.
        options
            .min_connections(0)
            .max_connections(4)
            .set_schema_search_path(schema);
        let pool = Database::connect(options).await?;
        Ok(Self {
            read: pool.clone(),
            write: pool,
            backend: Backend::Postgres,
            queue_clock: Arc::new(QueueClock::new(clock.clone())),
            clock,
            rng,
            billing: Billing::OFF,
            news: News::new(),
        })
    }

    /// The URL of a SQLite database file.
    pub fn sqlite_url(file: &Path) -> String {
        format!("sqlite://{}?mode=rwc", file.display())
    }

    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    pub fn rng(&self) -> &Rng {
        &self.rng
    }

    /// The time by which jobs fall due and leases end. All processes of an installation agree on it, whatever the clocks
    /// of their machines say.
    pub fn queue_now(&self) -> Timestamp {
        self.queue_clock.now()
    }

    /// The time to tell those outside, who hold it against their own: that of the database where several machines share
    /// one, whatever their clocks say; of this machine where it is alone.
    pub fn agreed_now(&self) -> Timestamp {
        match self.backend {
            Backend::Postgres => self.queue_now(),
            Backend::Sqlite => self.clock.now(),
        }
    }

    /// Asks PostgreSQL what time it is. SQLite serves one process, which needs nobody to agree with.
    ///
    /// # Errors
    /// [`Error::Db`] when it does not answer; then the last reading goes on.
    pub async fn set_queue_clock(&self) -> Result<()> {
        if self.backend == Backend::Sqlite || self.clock.is_manual() {
            return Ok(());
        }
        let asked = Instant::now();
        let sql = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now";
        let row = self.read.query_one_raw(self.sql(sql, [])).await?;
        let now: Option<i64> = row.map(|row| row.try_get("", "now")).transpose()?;
        if let Some(now) = now {
            // It was read half way between the question and the answer.
            self.queue_clock.set(asked + asked.elapsed() / 2, Timestamp(now));
        }
        Ok(())
    }

    /// Hears of each environment that a transaction of this process has changed, once it is committed. A listener that
    /// is too slow misses some.
    pub fn changed_environments(&self) -> broadcast::Receiver<EnvId> {
        self.news.environments.subscribe()
    }

    /// Hears of each ledger to which a transaction of this process has added what others may be told of, once it is
    /// committed. A listener that is too slow misses some.
    pub fn grown_ledgers(&self) -> broadcast::Receiver<Uuid> {
        self.news.ledgers.subscribe()
    }

    /// Opens a transaction that will change something. On SQLite it takes the write lock at once (`BEGIN IMMEDIATE`):
    /// a lock taken later fails at once whatever the busy timeout.
    ///
    /// # Errors
    /// [`Error::Db`] when no connection can be had.
    pub async fn begin_write(&self) -> Result<WriteTx> {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        if self.queue_clock.is_stale() {
            // A database that does not answer is told of by what follows.
            let _ = self.set_queue_clock().await;
        }
        let tx = self.write.begin_with_options(options).await?;
        Ok(WriteTx {
            tx,
            backend: self.backend,
            now: self.now(),
            queue_now: self.queue_now(),
            rng: self.rng.clone(),
            billing: self.billing,
            ids: AtomicU16::new(0),
            effects: Mutex::default(),
            news: self.news.clone(),
        })
    }

    /// Opens a transaction that sees the database as it is now, whatever is written meanwhile.
    ///
    /// # Errors
    /// [`Error::Db`] when no connection can be had.
    pub async fn begin_snapshot(&self) -> Result<Snapshot> {
        let options = TransactionOptions {
            isolation_level: (self.backend == Backend::Postgres).then_some(IsolationLevel::RepeatableRead),
            access_mode: (self.backend == Backend::Postgres).then_some(AccessMode::ReadOnly),
            ..Default::default()
        };
        let tx = self.read.begin_with_options(options).await?;
        Ok(Snapshot {
            tx,
            backend: self.backend,
            now: self.clock.now(),
        })
    }

    /// Brings the schema up to date, one process at a time.
    ///
    /// # Errors
    /// [`Error::Db`] when a migration fails; the schema then stays as the last whole migration left it.
    pub async fn migrate(&self) -> Result<()> {
        // The write pool of SQLite has one connection, which is lock enough within a process; between processes the
        // exclusive lock of the file serialises them. PostgreSQL needs its advisory lock.
        migration::up_locked(&self.write).await.map_err(Error::Db)
    }

    /// Applies the first migrations of an empty database, so many of them.
    ///
    /// # Errors
    /// See [`Db::migrate`].
    pub async fn migrate_some(&self, steps: u32) -> Result<()> {
        migration::up_some_locked(&self.write, Some(steps))
            .await
            .map_err(Error::Db)
    }

    /// Whether every migration that this build knows has been applied.
    ///
    /// # Errors
    /// [`Error::Db`] when the database cannot be reached.
    pub async fn is_migrated(&self) -> Result<bool> {
        let known = migration::known();
        let row = self
            .read
            .query_one_raw(self.sql("SELECT COUNT(*) AS n FROM seaql_migrations", []))
            .await?;
        let applied: i64 = row.map(|row| row.try_get("", "n")).transpose()?.unwrap_or(0);
        Ok(usize::try_from(applied).is_ok_and(|n| n >= known))
    }

    /// Closes the connections; SQLite writes its log back into the file.
    pub async fn close(self) {
        let _ = self.read.close().await;
        if self.backend == Backend::Sqlite {
            let _ = self.write.close().await;
        }
    }
}

fn common(options: &mut ConnectOptions) -> &mut ConnectOptions {
    options
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .test_before_acquire_if_idle_for(TEST_AFTER_IDLE)
        .sqlx_logging(false)
        .record_stmt_in_spans(false)
}

fn sqlite_options(url: &str, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    common(&mut options)
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // NORMAL loses acknowledged writes when the power goes.
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(ACQUIRE_TIMEOUT)
                .foreign_keys(true)
                .pragma("mmap_size", "268435456")
                .pragma("cache_size", "-20000")
                .pragma("secure_delete", "ON")
        });
    pool::only_idle(&mut options);
    options
}

fn postgres_options(url: &str) -> ConnectOptions {
    let connections = u32::try_from(std::thread::available_parallelism().map_or(2, usize::from)).unwrap_or(2) * 4;
    let mut options = ConnectOptions::new(url);
    common(&mut options)
        .max_connections(connections.max(8))
        .min_connections(2);
    options
}

/// Something to read from: the pool of readers, or an open transaction, which sees its own changes.
pub trait Reads: Sync {
    type Conn: ConnectionTrait;

    fn conn(&self) -> &Self::Conn;

    fn now(&self) -> Timestamp;

    fn backend(&self) -> Backend;

    /// A raw statement with `$1`-style parameters, which both databases read.
    fn sql(&self, sql: &str, values: impl IntoIterator<Item = sea_orm::Value>) -> Statement {
        Statement::from_sql_and_values(self.backend().sea(), sql, values)
    }
}

impl Reads for Db {
    type Conn = DatabaseConnection;

    fn conn(&self) -> &DatabaseConnection {
        &self.read
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn backend(&self) -> Backend {
        self.backend
    }
}

impl Reads for WriteTx {
    type Conn = DatabaseTransaction;

    fn conn(&self) -> &DatabaseTransaction {
        &self.tx
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn backend(&self) -> Backend {
        self.backend
    }
}

/// A view of the database that does not move.
pub struct Snapshot {
    tx: DatabaseTransaction,
    backend: Backend,
    now: Timestamp,
}

impl Reads for Snapshot {
    type Conn = DatabaseTransaction;

    fn conn(&self) -> &DatabaseTransaction {
        &self.tx
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn backend(&self) -> Backend {
        self.backend
    }
}

/// What a transaction leaves to do once it is committed.
#[derive(Default)]
struct Effects {
    lanes: BTreeSet<String>,
    environments: BTreeSet<EnvId>,
    ledgers: BTreeSet<Uuid>,
    journal_rows: u32,
}

impl Effects {
    /// Tells this process which environments and ledgers have changed; returns the lanes to ring.
    fn tell(self, news: &News) -> Vec<String> {
        // Nobody may be listening.
        for env in self.environments {
            let _ = news.environments.send(env);
        }
        for ledger in self.ledgers {
            let _ = news.ledgers.send(ledger);
        }
        self.lanes.into_iter().collect()
    }
}

/// One transaction that changes something. It carries the instant that all of its rows share, and what is to be told
/// once it is committed: lanes to ring, environments and ledgers to look at. It will not commit a change that the
/// journal knows nothing of.
pub struct WriteTx {
    tx: DatabaseTransaction,
    backend: Backend,
    now: Timestamp,
    queue_now: Timestamp,
    rng: Rng,
    billing: Billing,
    ids: AtomicU16,
    effects: Mutex<Effects>,
    news: News,
}

impl Deref for WriteTx {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.tx
    }
}

impl WriteTx {
    pub fn rng(&self) -> &Rng {
        &self.rng
    }

    /// How this instance charges.
    pub fn billing(&self) -> Billing {
        self.billing
    }

    /// The instant of [`Db::queue_now`] at which it began.
    pub fn queue_now(&self) -> Timestamp {
        self.queue_now
    }

    /// A new id. The ids of one transaction sort in the order in which they were made.
    ///
    /// # Errors
    /// [`Error::Internal`] when there are no random numbers.
    pub fn new_id<T: From<Uuid>>(&self) -> Result<T> {
        let n = self.ids.fetch_add(1, Ordering::Relaxed);
        self.rng.nth_uuid(self.now, n).map(T::from)
    }

    /// Notes a lane that has work once this transaction is committed.
    pub(crate) fn will_ring(&self, lane: String) {
        self.effects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .lanes
            .insert(lane);
    }

    /// Notes an environment whose watchers must look once this transaction is committed.
    pub(crate) fn will_tell(&self, env: EnvId) {
        self.effects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .environments
            .insert(env);
    }

    /// Notes a ledger whose followers must look once this transaction is committed.
    pub(crate) fn will_tell_followers(&self, ledger: Uuid) {
        self.effects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ledgers
            .insert(ledger);
    }

    /// Notes that the journal has a row for this change. Only the journal calls it.
    pub(crate) fn note_journal_row(&self) {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner).journal_rows += 1;
    }

    /// Commits a change that the journal has recorded; returns the lanes to ring.
    ///
    /// # Errors
    /// [`Error::Internal`], with nothing committed, when no journal row was written; [`Error::Db`] when the commit fails.
    pub async fn commit(self) -> Result<Vec<String>> {
        let effects = self.effects.into_inner().unwrap_or_else(PoisonError::into_inner);
        if effects.journal_rows == 0 {
            self.tx.rollback().await?;
            return Err(Error::internal("a change without a journal row was not committed"));
        }
        self.tx.commit().await?;
        Ok(effects.tell(&self.news))
    }

    /// Commits bookkeeping that is no event of anybody's: claims, attempts, `last_used_at`, idempotency.
    ///
    /// # Errors
    /// [`Error::Db`] when the commit fails.
    pub async fn commit_bookkeeping(self) -> Result<Vec<String>> {
        let effects = self.effects.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.tx.commit().await?;
        Ok(effects.tell(&self.news))
    }

    /// Gives everything up.
    ///
    /// # Errors
    /// [`Error::Db`] when the connection is gone; then nothing was committed either.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.tx.rollback().await?)
    }
}
