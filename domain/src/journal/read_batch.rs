//! Reads of secret values are journaled before they are answered. One row a read, many rows a commit: while one
//! batch is being written the next one gathers.

use std::collections::BTreeMap;

use sea_orm::EntityTrait;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::chain;
use super::entity::event;
use super::record::{Entry, advance, insertable, row, set_head};
use crate::access::Origin;
use crate::kernel::config::AuditReads;
use crate::kernel::{Db, Error, Problem, ProblemCode, Reads, Result, WriteTx};

/// Rows of one batch at most.
const BATCH: usize = 256;
/// Reads that may wait for a batch; beyond it callers wait to be let in.
const QUEUE: usize = 4096;

/// A read to be journaled.
pub struct ReadEntry {
    pub origin: Origin,
    pub entry: Entry,
}

struct Waiting {
    read: ReadEntry,
    written: Option<oneshot::Sender<bool>>,
}

/// The way into the batches. Cheap to clone.
#[derive(Clone)]
pub struct ReadAudit {
    mode: AuditReads,
    queue: mpsc::Sender<Waiting>,
}

impl ReadAudit {
    /// Starts the writer. It ends, with everything written, when the last handle is gone.
    pub fn start(db: Db, mode: AuditReads) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = tokio::spawn(write_batches(db, waiting));
        (Self { mode, queue }, writer)
    }

    /// Journals a read according to the mode.
    ///
    /// # Errors
    /// `unavailable` when it must be on disk before the answer and cannot be.
    pub async fn record(&self, read: ReadEntry) -> Result<()> {
        let unavailable = || {
            Problem::new(
                ProblemCode::Unavailable,
                "The read could not be recorded, so it is not answered. Try again.",
            )
            .with("retry_after", 1)
        };
        match self.mode {
            AuditReads::Off => Ok(()),
            AuditReads::Buffered => {
                let waiting = Waiting { read, written: None };
                self.queue.send(waiting).await.map_err(|_| unavailable().into())
            }
            AuditReads::Durable => {
                let (written, is_written) = oneshot::channel();
                let waiting = Waiting {
                    read,
                    written: Some(written),
                };
                self.queue.send(waiting).await.map_err(|_| unavailable())?;
                match is_written.await {
                    Ok(true) => Ok(()),
                    Ok(false) | Err(_) => Err(unavailable().into()),
                }
            }
        }
    }
}

async fn write_batches(db: Db, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let (reads, waiters): (Vec<_>, Vec<_>) = batch.drain(..).map(|waiting| (waiting.read, waiting.written)).unzip();
        let written = write(&db, reads).await;
        if let Err(error) = &written {
            tracing::error!(%error, "reads could not be journaled");
        }
        for waiter in waiters.into_iter().flatten() {
            let _ = waiter.send(written.is_ok());
        }
    }
}

async fn write(db: &Db, reads: Vec<ReadEntry>) -> Result<()> {
    let tx = db.begin_write().await?;
    // Ledgers in the order of their ids: two batches, or a batch and a writer, cannot wait for each other.
    let mut ledgers: BTreeMap<Uuid, Vec<event::Model>> = BTreeMap::new();
    for ReadEntry { origin, entry } in reads {
        let ledger = entry.ledger;
        ledgers
            .entry(ledger)
            .or_default()
            .push(row(tx.new_id()?, tx.now(), &origin, entry)?);
    }
    for (ledger, rows) in ledgers {
        append(&tx, ledger, rows).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn append(tx: &WriteTx, ledger: Uuid, mut rows: Vec<event::Model>) -> Result<()> {
    let count = i64::try_from(rows.len()).map_err(|_| Error::internal("batch too large"))?;
    let (first, mut prev_hash) = advance(tx, ledger, count).await?;
    for (row, seq) in rows.iter_mut().zip(first..) {
        row.seq = seq;
        row.prev_hash = prev_hash;
        row.hash = chain::hash(row).to_vec();
        prev_hash = row.hash.clone();
    }
    set_head(tx, ledger, &prev_hash).await?;
    event::Entity::insert_many(insertable(rows))
        .exec_without_returning(tx.conn())
        .await?;
    tx.note_journal_row();
    Ok(())
}
