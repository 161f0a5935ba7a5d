//! Reads of secret values are journaled before they are answered. One row a read, many rows a commit: while one
//! batch is being written the next one gathers.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::entity::event;
use super::heads::{Heads, append, append_at_once};
use super::record::{Entry, row};
use crate::access::Origin;
use crate::kernel::config::AuditReads;
use crate::kernel::id::EventId;
use crate::kernel::{Db, Problem, ProblemCode, Reads, Result, WriteTx};

/// Rows of one batch at most.
const BATCH: usize = 256;
/// Reads that may wait for a batch; beyond it callers wait to be let in.
const QUEUE: usize = 4096;
/// Callers at the same time from which on a batch waits for those that the last one answered.
const CROWD: usize = 4;
/// How long it waits.
const PATIENCE: Duration = Duration::from_millis(2);
/// Batches that do not wait after a wait in vain, at most.
const MOST_SKIPPED: u32 = 64;

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

/// Callers who read one secret after the other. Half of them would come while the batch of the other half is written, and
/// so on for ever: twice as many commits as it takes. A moment's wait for those who were just answered brings them
/// together. Where it does not, because others come than went, it is given up for a while.
#[derive(Debug, Default)]
struct Company {
    /// Callers who were there at the last commit: written down or waiting.
    seen: usize,
    /// Batches that do not wait, from now on and after the next wait in vain.
    skips: u32,
    penalty: u32,
}

impl Company {
    /// Waits for most of those who were there before, if there were many.
    async fn gather<T>(&mut self, queue: &mut mpsc::Receiver<T>, batch: &mut Vec<T>) {
        if self.seen < CROWD {
            return;
        }
        if self.skips > 0 {
            self.skips -= 1;
            return;
        }
        let (enough, until) = ((self.seen - self.seen / 8).min(BATCH), Instant::now() + PATIENCE);
        while batch.len() < enough {
            let room = enough - batch.len();
            match timeout_at(until, queue.recv_many(batch, room)).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(_) => {
                    self.penalty = (self.penalty * 2).clamp(1, MOST_SKIPPED);
                    self.skips = self.penalty;
                    return;
                }
            }
        }
        self.penalty = self.penalty.saturating_sub(1);
    }
}

async fn write_batches(db: Db, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut company = Company::default();
    let mut heads = Heads::default();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        company.gather(&mut queue, &mut batch).await;
        let count = batch.len();
        let (reads, waiters): (Vec<_>, Vec<_>) = batch.drain(..).map(|waiting| (waiting.read, waiting.written)).unzip();
        let written = write(&db, reads, &mut heads).await;
        if let Err(error) = &written {
            tracing::error!(%error, "reads could not be journaled");
        }
        company.seen = count + queue.len();
        for waiter in waiters.into_iter().flatten() {
            let _ = waiter.send(written.is_ok());
        }
    }
}

async fn write(db: &Db, reads: Vec<ReadEntry>, heads: &mut Heads) -> Result<()> {
    let mut ledgers = by_ledger(db, reads)?;
    let mut moved = Vec::with_capacity(ledgers.len());
    if let Some((ledger, rows)) = only_one(&mut ledgers)
        && let Some(head) = append_at_once(db, ledger, rows, heads).await?
    {
        moved.push((ledger, head));
    } else {
        let tx = db.begin_write().await?;
        for (ledger, mut rows) in ledgers {
            date(&tx, &mut rows)?;
            moved.push((ledger, append(&tx, ledger, rows, heads).await?));
        }
        tx.commit().await?;
    }
    heads.keep(moved);
    Ok(())
}

/// Ledgers in the order of their ids: two batches, or a batch and a writer, cannot wait for each other.
type Ledgers = BTreeMap<Uuid, Vec<event::Model>>;

/// The rows of each ledger, of now.
fn by_ledger(db: &Db, reads: Vec<ReadEntry>) -> Result<Ledgers> {
    let (now, mut ledgers) = (db.now(), Ledgers::new());
    for (n, ReadEntry { origin, entry }) in (0..).zip(reads) {
        let rows = ledgers.entry(entry.ledger).or_default();
        rows.push(row(EventId(db.rng().nth_uuid(now, n)?), now, &origin, entry)?);
    }
    Ok(ledgers)
}

fn only_one(ledgers: &mut Ledgers) -> Option<(Uuid, &mut Vec<event::Model>)> {
    let is_one = ledgers.len() == 1;
    let first = ledgers.iter_mut().next().map(|(ledger, rows)| (*ledger, rows));
    first.filter(|_| is_one)
}

/// Gives rows the time of a transaction, which may have waited for others.
fn date(tx: &WriteTx, rows: &mut [event::Model]) -> Result<()> {
    for row in rows {
        (row.id, row.at) = (tx.new_id()?, tx.now());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> (mpsc::Sender<u32>, mpsc::Receiver<u32>) {
        mpsc::channel(QUEUE)
    }

    #[tokio::test]
    async fn one_who_reads_alone_waits_for_nobody() {
        let (_reads, mut queue) = queue();
        let mut company = Company {
            seen: CROWD - 1,
            ..Company::default()
        };
        let begun = Instant::now();
        let mut batch = vec![0];
        company.gather(&mut queue, &mut batch).await;
        assert!(begun.elapsed() < PATIENCE && batch == [0]);
    }

    #[tokio::test]
    async fn those_who_were_answered_last_are_waited_for() {
        let (reads, mut queue) = queue();
        let mut company = Company {
            seen: 16,
            ..Company::default()
        };
        let mut batch = vec![0; 8];
        tokio::spawn(async move {
            for n in 0..8 {
                reads.send(n).await.unwrap();
            }
        });
        company.gather(&mut queue, &mut batch).await;
        assert_eq!((batch.len(), company.skips), (14, 0));
    }

    #[tokio::test]
    async fn a_wait_in_vain_is_not_repeated_at_once() {
        let (reads, mut queue) = queue();
        let mut company = Company {
            seen: 16,
            ..Company::default()
        };
        let mut batch = vec![0];
        for skipped in [1, 2, 4] {
            company.gather(&mut queue, &mut batch).await;
            assert_eq!(company.skips, skipped);
            reads.send(1).await.unwrap();
            for _ in 0..skipped {
                company.gather(&mut queue, &mut batch).await;
            }
            assert_eq!(batch, [0], "what came is for the next batch");
            assert_eq!(queue.recv().await, Some(1));
        }
    }
}
