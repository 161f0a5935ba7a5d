//! One insert of a thousand rows, with its values bound: what nobody who stores a thousand secrets can do without.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use domain::kernel::lists::value_marks;
use domain::kernel::{Backend, Clock, Db, Reads, Rng};
use sea_orm::{ConnectionTrait, Value};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::drive::Round;
use crate::stack::BULK;
use crate::{Outcome, cpu};

/// The secrets that get another version.
const SECRETS: &str =
    "SELECT s.id FROM secrets s JOIN environments e ON e.id = s.environment_id WHERE e.slug = 'staging'";
const COLUMNS: [&str; 8] = [
    "secret_id",
    "version",
    "sealed_value",
    "fingerprint",
    "created_by_type",
    "created_by_id",
    "created_at",
    "revision",
];
/// What a value of 64 bytes takes when it is sealed: with the key's id, nonce and tag.
const SEALED_LEN: usize = 109;
const FINGERPRINT_LEN: usize = 16;

/// Versions of all limits, which share a database; they begin beyond every number that the product uses.
static VERSIONS: AtomicI64 = AtomicI64::new(1_000_000_000_000);

/// Transactions of one insert each.
#[derive(Clone)]
pub struct Limit {
    db: Db,
    secrets: Vec<Uuid>,
    tasks: usize,
}

impl Limit {
    pub async fn new(url: &str, tasks: usize) -> Outcome<Self> {
        let db = Db::connect(url, Clock::system(), Rng::system()).await?;
        let rows = db.conn().query_all_raw(db.sql(SECRETS, [])).await?;
        let secrets: Vec<Uuid> = rows
            .iter()
            .map(|row| row.try_get_by_index(0))
            .collect::<Result<_, _>>()?;
        if secrets.len() != BULK {
            return Err(format!("{} secrets instead of {BULK}", secrets.len()).into());
        }
        Ok(Self { db, secrets, tasks })
    }

    /// Runs it for as long as told.
    pub async fn run(&self, duration: Duration) -> Outcome<Round> {
        let spent = || match self.db.backend() {
            Backend::Postgres => cpu::own() + cpu::spent(cpu::DATABASE),
            Backend::Sqlite => cpu::own(),
        };
        let (before, begun) = (spent(), Instant::now());
        let mut tasks = JoinSet::new();
        for _ in 0..self.tasks {
            tasks.spawn(self.clone().repeat(begun + duration));
        }
        let mut done = 0;
        while let Some(ended) = tasks.join_next().await {
            done += ended??;
        }
        Ok(Round::of(done, begun.elapsed(), spent().saturating_sub(before)))
    }

    async fn repeat(self, end: Instant) -> Outcome<u64> {
        let sql = format!(
            "INSERT INTO secret_versions ({}) VALUES {}",
            COLUMNS.join(", "),
            value_marks(self.db.backend(), self.secrets.len(), COLUMNS.len())
        );
        let mut done = 0;
        while Instant::now() < end {
            let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
            let values = self.secrets.iter().flat_map(|secret| self.values(*secret, version));
            let tx = self.db.begin_write().await?;
            tx.conn().execute_raw(tx.sql(&sql, values.collect::<Vec<_>>())).await?;
            tx.commit_bookkeeping().await?;
            done += 1;
        }
        Ok(done)
    }

    fn values(&self, secret: Uuid, version: i64) -> [Value; COLUMNS.len()] {
        [
            secret.into(),
            version.into(),
            vec![7_u8; SEALED_LEN].into(),
            vec![7_u8; FINGERPRINT_LEN].into(),
            "user".into(),
            Uuid::nil().into(),
            self.db.now().micros().into(),
            version.into(),
        ]
    }
}
