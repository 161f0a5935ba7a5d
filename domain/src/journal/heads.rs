//! Batches of rows at the end of a ledger. Where nothing but such batches is added, the end is known from the last one, and is
//! moved on by one statement that finds out whether it still stands there; elsewhere it is taken and set.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, Value};
use uuid::Uuid;

use super::entity::event;
use super::record::{advance, columns, insert, link, set_head};
use crate::kernel::{Db, Error, Reads, Result, WriteTx};

/// Ledgers whose ends are remembered at most.
const MOST_HEADS: usize = 1024;

/// Moves the head of a ledger on if it stands where it is believed to.
const MOVE_ON: &str = "UPDATE ledgers SET seq = $1, hash = $2 WHERE id = $3 AND seq = $4 AND hash = $5";

fn move_on_values(ledger: Uuid, to: &Head, from: &Head) -> Vec<Value> {
    vec![
        to.seq.into(),
        to.hash.clone().into(),
        ledger.into(),
        from.seq.into(),
        from.hash.clone().into(),
    ]
}

/// Adds rows to a ledger that has been resting, which is a transaction of its own and one round trip. `None`, with nothing
/// added, where the ledger has not been resting.
pub(super) async fn append_at_once(
    db: &Db,
    ledger: Uuid,
    rows: &mut [event::Model],
    heads: &mut Heads,
) -> Result<Option<Head>> {
    let Some(from) = heads.resting(ledger) else {
        return Ok(None);
    };
    let to = follow(rows, &from);
    let values = move_on_values(ledger, &to, &from);
    let moved = columns(rows).insert_after(db, MOVE_ON, values).await?;
    Ok(moved.then_some(to))
}

/// Adds rows to a ledger; its head afterwards.
pub(super) async fn append(tx: &WriteTx, ledger: Uuid, mut rows: Vec<event::Model>, heads: &mut Heads) -> Result<Head> {
    let moved = match heads.resting(ledger) {
        Some(before) => move_on(tx, ledger, &mut rows, &before).await?,
        None => None,
    };
    let head = match moved {
        Some(head) => head,
        None => lead_on(tx, ledger, &mut rows, heads).await?,
    };
    insert(tx, &rows).await?;
    tx.note_journal_row();
    Ok(head)
}

/// Moves the head of a ledger on; then the row is locked until the transaction ends, as by [`advance`].
async fn move_on(tx: &WriteTx, ledger: Uuid, rows: &mut [event::Model], from: &Head) -> Result<Option<Head>> {
    let to = follow(rows, from);
    let values = move_on_values(ledger, &to, from);
    let moved = tx.conn().execute_raw(tx.sql(MOVE_ON, values)).await?;
    Ok((moved.rows_affected() == 1).then_some(to))
}

/// Takes the head from where it is found.
async fn lead_on(tx: &WriteTx, ledger: Uuid, rows: &mut [event::Model], heads: &Heads) -> Result<Head> {
    let count = i64::try_from(rows.len()).map_err(|_| Error::internal("batch too large"))?;
    let (first, hash) = advance(tx, ledger, count).await?;
    let seq = first - 1;
    let rests = heads.is_at(ledger, seq, &hash);
    let head = follow(rows, &Head { seq, hash, rests });
    set_head(tx, ledger, &head.hash).await?;
    Ok(head)
}

/// Gives rows their places behind a head; the head that they make.
fn follow(rows: &mut [event::Model], head: &Head) -> Head {
    let hash = link(rows, head.seq, head.hash.clone());
    Head {
        seq: rows.last().map_or(head.seq, |row| row.seq),
        hash,
        rests: head.rests,
    }
}

/// Where a ledger ended after the last batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    seq: i64,
    hash: Vec<u8>,
    /// Nobody else added to it between the last two batches.
    rests: bool,
}

/// The ends of ledgers to which nothing but reads is added for the time being: their heads are moved on by one statement,
/// which finds out whether they still stand there.
#[derive(Debug, Default)]
pub(super) struct Heads(HashMap<Uuid, Head>);

impl Heads {
    /// The end of a ledger that has been resting; whoever asks for it keeps it again, or it is forgotten.
    fn resting(&mut self, ledger: Uuid) -> Option<Head> {
        let rests = self.0.get(&ledger)?.rests;
        if rests { self.0.remove(&ledger) } else { None }
    }

    fn is_at(&self, ledger: Uuid, seq: i64, hash: &[u8]) -> bool {
        let known = self.0.get(&ledger);
        known.is_some_and(|known| known.seq == seq && known.hash == hash)
    }

    /// Keeps where ledgers end now that a batch is committed.
    pub(super) fn keep(&mut self, moved: Vec<(Uuid, Head)>) {
        if self.0.len() + moved.len() > MOST_HEADS {
            self.0.clear();
        }
        self.0.extend(moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: i64, rests: bool) -> Head {
        let hash = vec![u8::try_from(seq).unwrap()];
        Head { seq, hash, rests }
    }

    #[test]
    fn an_end_is_known_by_heart_once_nobody_else_has_moved_it() {
        let (ledger, mut heads) = (Uuid::from_u128(1), Heads::default());
        assert_eq!(heads.resting(ledger), None);
        heads.keep(vec![(ledger, head(3, false))]);
        assert_eq!(heads.resting(ledger), None, "somebody else may have been there before");
        assert!(heads.is_at(ledger, 3, &[3]));
        assert!(!heads.is_at(ledger, 4, &[3]) && !heads.is_at(ledger, 3, &[4]));
        heads.keep(vec![(ledger, head(5, true))]);
        assert_eq!(heads.resting(ledger), Some(head(5, true)));
        assert_eq!(
            heads.resting(ledger),
            None,
            "a batch that came to nothing keeps nothing"
        );
    }

    #[test]
    fn very_many_ledgers_are_not_all_remembered() {
        let mut heads = Heads::default();
        for n in 0..=MOST_HEADS {
            heads.keep(vec![(Uuid::from_u128(n as u128), head(1, true))]);
        }
        assert_eq!(heads.0.len(), 1);
    }
}
