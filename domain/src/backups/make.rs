//! Writing a backup: every row of one snapshot, in order, while others go on writing to the database.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sea_orm::{ConnectionTrait, Value};
use serde_json::Value as Json;
use tokio::sync::mpsc;

use super::fault::Fault;
use super::file::{END_LINE, Header, Sizes, Table, Writer, table_line};
use super::store::{Location, Sink};
use super::tables::{self, Column, MIGRATIONS, TABLES};
use crate::crypto::keyring::RootKeyring;
use crate::kernel::db::Snapshot;
use crate::kernel::id::BackupId;
use crate::kernel::{Backend, Db, Error, Reads, Result, Rng};

/// Blocks of lines that wait for the disk, or for the store.
const QUEUE: usize = 4;
/// Rows that are read at once; they make a block.
const PAGE: usize = 200;

/// How far something has come, in rows.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// 0 while it is not known.
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    pub(super) fn add(&self, rows: u64) {
        self.done.fetch_add(rows, Ordering::Relaxed);
    }
}

enum Block {
    Lines(Vec<u8>),
    End,
}

/// Writes the database as it is now.
///
/// # Errors
/// [`Fault`]; there is no backup then.
pub(super) async fn make(
    db: &Db,
    keys: Arc<RootKeyring>,
    to: &Location,
    id: BackupId,
    progress: &Progress,
) -> Result<(Header, Sizes), Fault> {
    let snapshot = db.begin_snapshot().await?;
    let header = describe(&snapshot, id, &keys).await?;
    progress.begin(header.rows());
    let (blocks, incoming) = mpsc::channel(QUEUE);
    let (sink, landing) = to.begin()?;
    let pouring = {
        let (to, header, rng) = (to.clone(), header.clone(), db.rng().clone());
        tokio::task::spawn_blocking(move || {
            let poured = pour(sink, &header, &keys, &rng, incoming);
            if poured.is_err() {
                to.clear();
            }
            poured
        })
    };
    // Whoever gives this up drops the sender, and the backup with it.
    let sent = send(&snapshot, &header, &blocks, progress).await;
    drop((blocks, snapshot));
    let poured = pouring
        .await
        .map_err(|_| Error::internal("the writer of a backup panicked"))?;
    let landed = landing.wait().await;
    // A store that fails stops the writer too, which does not know why.
    sent?;
    landed?;
    Ok((header, poured?))
}

/// What the file will hold.
async fn describe(from: &Snapshot, id: BackupId, keys: &RootKeyring) -> Result<Header> {
    let there = tables::names(from).await?;
    let strange = |name: &&String| name.as_str() != MIGRATIONS && !TABLES.contains(&name.as_str());
    for name in there.iter().filter(strange) {
        tracing::warn!(table = name, "a table that is not Strongroom's is not backed up");
    }
    let mut header = Header {
        id,
        created_at: from.now().to_string(),
        product: env!("CARGO_PKG_VERSION").to_owned(),
        database: kind_of(from.backend()).to_owned(),
        key_id: keys.primary().id().to_owned(),
        migrations: tables::migrations(from).await?,
        tables: Vec::with_capacity(TABLES.len()),
    };
    for name in TABLES {
        header.tables.push(Table {
            name: (*name).to_owned(),
            columns: tables::columns(from, name).await?,
            rows: tables::count(from, name).await?,
        });
    }
    Ok(header)
}

/// As a header and the API name a database.
pub(super) const fn kind_of(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgres",
    }
}

/// Reads every row and sends its line on. Stops when nobody takes them any more.
async fn send(
    from: &Snapshot,
    header: &Header,
    blocks: &mpsc::Sender<Block>,
    progress: &Progress,
) -> Result<(), Fault> {
    for table in &header.tables {
        if !send_table(from, table, blocks, progress).await? {
            return Ok(());
        }
    }
    for block in [Block::Lines(END_LINE.to_vec()), Block::End] {
        if blocks.send(block).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Reads a table page by page. Returns whether there is anybody who takes what comes next.
async fn send_table(
    from: &Snapshot,
    table: &Table,
    blocks: &mpsc::Sender<Block>,
    progress: &Progress,
) -> Result<bool, Fault> {
    let Table { name, columns, rows } = table;
    let key = tables::key(from, name, columns).await?;
    let sql = |is_first| tables::select(from.backend(), name, columns, &key, is_first, PAGE);
    let (first, next) = (sql(true), sql(false));
    let mut page = from.conn().query_all_raw(from.sql(&first, [])).await?;
    let mut block = table_line(name);
    let mut count = 0;
    loop {
        let mut last = Vec::new();
        for row in &page {
            last = tables::written(row, columns)?;
            serde_json::to_writer(&mut block, &last)
                .map_err(|error| Error::internal(format!("a row of {name}: {error}")))?;
            block.push(b'\n');
        }
        count += page.len() as u64;
        progress.add(page.len() as u64);
        if blocks.send(Block::Lines(mem::take(&mut block))).await.is_err() {
            return Ok(false);
        }
        if page.len() < PAGE {
            break;
        }
        let behind = place(&last, columns, &key)?;
        page = from.conn().query_all_raw(from.sql(&next, behind)).await?;
    }
    if count != *rows {
        return Err(Error::internal(format!("a snapshot of {name} that moves")).into());
    }
    Ok(true)
}

/// The key of a row, to go on behind it.
fn place(row: &[Json], columns: &[Column], key: &[usize]) -> Result<Vec<Value>, Fault> {
    let value = |at: &usize| -> Result<Value, Fault> {
        let (value, column) = row.get(*at).zip(columns.get(*at)).ok_or_else(Fault::damaged)?;
        tables::read(value.clone(), column.kind, column.kind)
    };
    key.iter().map(value).collect()
}

/// Compresses, seals and writes, apart from those who wait for the database.
fn pour(
    sink: Sink,
    header: &Header,
    keys: &RootKeyring,
    rng: &Rng,
    mut incoming: mpsc::Receiver<Block>,
) -> Result<Sizes, Fault> {
    let mut writer = Writer::begin(sink, header, keys, rng)?;
    while let Some(block) = incoming.blocking_recv() {
        match block {
            Block::Lines(lines) => writer.write(&lines)?,
            Block::End => return writer.finish(),
        }
    }
    Err(Fault::refused("The backup was broken off."))
}
