//! SQLite itself: statements of the product, run in this process through the product's own database handle.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::kernel::{Clock, Db, Reads, Rng, Rows};
use sea_orm::{ConnectionTrait, Value};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::capture::{Captured, Operation, Param, inserted};
use crate::drive::Round;
use crate::{Outcome, cpu};

/// What the fixture's rows are called, and how each database is asked for what stands for it.
const NAMES: &[(&str, &str)] = &[
    ("user", "SELECT id FROM users"),
    ("org", "SELECT id FROM orgs WHERE slug = 'acme'"),
    ("project", "SELECT id FROM projects WHERE slug = 'web'"),
    ("env", "SELECT id FROM environments WHERE slug = 'production'"),
    ("secret", "SELECT id FROM secrets WHERE key = 'KEY_000'"),
    ("token", "SELECT id FROM credentials WHERE kind = 'personal'"),
    ("webhook", "SELECT id FROM webhooks"),
    ("mac", "SELECT secret_mac FROM credentials WHERE kind = 'personal'"),
];

/// What stands for the fixture's rows in a database, as PostgreSQL writes it.
pub async fn names(db: &Db) -> Outcome<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (name, query) in NAMES {
        let row = db.conn().query_one_raw(db.sql(query, [])).await?.ok_or(*query)?;
        let text = match row.try_get_by_index::<Uuid>(0) {
            Ok(id) if *name != "mac" => id.to_string(),
            Ok(_) | Err(_) => {
                let bytes: Vec<u8> = row.try_get_by_index(0)?;
                bytes
                    .iter()
                    .fold("\\x".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
            }
        };
        found.insert((*name).to_owned(), text);
    }
    Ok(found)
}

/// The same statements for SQLite: row locks left out, the fixture's names exchanged.
pub fn translated(
    statements: &[Captured],
    from: &BTreeMap<String, String>,
    to: &BTreeMap<String, String>,
) -> Vec<Captured> {
    let by_value: HashMap<&String, &String> = from.iter().map(|(name, value)| (value, name)).collect();
    let exchange = |param: &Param| match param {
        Param::Text(text) => {
            let name = by_value.get(text).copied();
            Param::Text(name.and_then(|name| to.get(name)).unwrap_or(text).clone())
        }
        other => other.clone(),
    };
    let translate = |statement: &Captured| Captured {
        sql: statement
            .sql
            .replace(" FOR UPDATE", "")
            .replace(" FOR KEY SHARE", "")
            .replace(" FOR SHARE", "")
            // A lock that waits for the rotation of a key; SQLite has one writer.
            .replace("pg_advisory_xact_lock_shared", ""),
        params: statement.params.iter().map(exchange).collect(),
    };
    statements.iter().map(translate).collect()
}

/// One operation on SQLite.
#[derive(Clone)]
pub struct Limit {
    db: Db,
    reads: Arc<Vec<Captured>>,
    changes: Arc<Vec<Captured>>,
    /// The columns of what is inserted at once with a change.
    at_once: Option<Vec<&'static str>>,
    tasks: usize,
}

impl Limit {
    pub async fn new(url: &str, operation: &Operation, tasks: usize) -> Outcome<Self> {
        let Operation {
            reads,
            changes,
            is_at_once,
        } = operation.clone();
        let inserted = changes.last().and_then(|insert| inserted(&insert.sql));
        // The names live as long as the program.
        let columns = inserted.map(|(_, names)| names.into_iter().map(|name| &*name.leak()).collect());
        Ok(Self {
            db: Db::connect(url, Clock::system(), Rng::system()).await?,
            reads: Arc::new(reads),
            changes: Arc::new(changes),
            at_once: columns.filter(|_| is_at_once),
            tasks,
        })
    }

    /// Runs it for as long as told.
    pub async fn run(&self, duration: Duration) -> Outcome<Round> {
        let (before, begun) = (cpu::own(), Instant::now());
        let end = begun + duration;
        let mut tasks = JoinSet::new();
        for _ in 0..self.tasks {
            tasks.spawn(self.clone().repeat(end));
        }
        let mut done = 0;
        while let Some(ended) = tasks.join_next().await {
            done += ended??;
        }
        Ok(Round::of(done, begun.elapsed(), cpu::own().saturating_sub(before)))
    }

    async fn repeat(self, end: Instant) -> Outcome<u64> {
        let mut done = 0;
        while Instant::now() < end {
            for statement in self.reads.iter() {
                let bound = self.db.sql(&statement.sql, values(statement));
                self.db.conn().query_all_raw(bound).await?;
            }
            if let (Some(columns), [change, insert]) = (&self.at_once, self.changes.as_slice()) {
                at_once(&self.db, change, columns, insert).await?;
            } else if !self.changes.is_empty() {
                let tx = self.db.begin_write().await?;
                for statement in self.changes.iter() {
                    let bound = tx.sql(&statement.sql, values(statement));
                    tx.conn().query_all_raw(bound).await?;
                }
                tx.commit_bookkeeping().await?;
            }
            done += 1;
        }
        Ok(done)
    }
}

/// One round trip, as the product makes it.
async fn at_once(db: &Db, change: &Captured, columns: &[&'static str], insert: &Captured) -> Outcome<()> {
    let (all, width) = (values(insert), columns.len());
    let mut rows = Rows::of("journal", all.len() / width);
    for (n, column) in columns.iter().enumerate() {
        rows = rows.each(column, all.iter().skip(n).step_by(width).cloned());
    }
    if !rows.insert_after(db, &change.sql, values(change)).await? {
        return Err("a ledger that is not there".into());
    }
    Ok(())
}

fn values(statement: &Captured) -> Vec<Value> {
    let serial = || SERIALS.fetch_add(1, Ordering::Relaxed);
    let value = |param: &Param| match param {
        Param::Null => Value::String(None),
        Param::Serial => Value::from(i64::try_from(serial()).unwrap_or(i64::MAX)),
        Param::SerialUuid => Value::from(Uuid::from_u128(u128::from(serial()))),
        Param::SerialText => Value::from(format!("k{}", serial())),
        Param::Text(text) => typed(text),
    };
    statement.params.iter().map(value).collect()
}

/// The next serial of all limits, which share a database; it begins beyond every number that the product used.
static SERIALS: AtomicU64 = AtomicU64::new(1_000_000_000);

/// PostgreSQL's log writes every value as text.
fn typed(text: &str) -> Value {
    if let Some(id) = Uuid::try_parse(text).ok().filter(|_| text.len() == 36) {
        return id.into();
    }
    if let Some(hex) = text.strip_prefix("\\x") {
        let bytes = (0..hex.len() / 2).filter_map(|i| u8::from_str_radix(hex.get(i * 2..i * 2 + 2)?, 16).ok());
        return bytes.collect::<Vec<u8>>().into();
    }
    match text.parse::<i64>() {
        Ok(number) => number.into(),
        Err(_) => text.into(),
    }
}
