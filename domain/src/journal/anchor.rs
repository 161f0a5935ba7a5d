//! Where the chain of a ledger begins once its oldest events are gone: behind the number and the hash of the last of them.
//! The event that tells of the removal says the same, in the chain itself.

use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult};
use serde_json::Value;
use uuid::Uuid;

use super::Action;
use super::chain::GENESIS;
use super::entity::{anchor, event};
use super::sum::Sum;
use crate::kernel::{Error, Reads, Result, Timestamp, WriteTx};

/// Members of the data of an event that tells of a removal.
const LAST_SEQ: &str = "last_seq";
const LAST_HASH: &str = "last_hash";
const SEALS: &str = "seals";

/// The beginning of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Number of the last event that is gone.
    pub seq: i64,
    /// Its hash.
    pub hash: Vec<u8>,
    /// Since when.
    pub moved_at: Timestamp,
    /// Sum over what the events that are gone told of stored secrets.
    pub(super) seals: Sum,
}

fn anchor(row: anchor::Model) -> Result<Anchor> {
    let anchor::Model {
        ledger_id,
        seq,
        hash,
        seals,
        moved_at,
    } = row;
    let broken = || Error::internal(format!("the anchor of the ledger {ledger_id} is stored wrongly"));
    Ok(Anchor {
        seq,
        hash,
        moved_at,
        seals: Sum::read(&seals).ok_or_else(broken)?,
    })
}

/// The anchor of a ledger; `None` for one that is whole.
pub(super) async fn of(from: &impl Reads, ledger: Uuid) -> Result<Option<Anchor>> {
    let row = anchor::Entity::find_by_id(ledger).one(from.conn()).await?;
    row.map(anchor).transpose()
}

/// The number of the last event of a ledger that is gone; 0 for a ledger that is whole.
///
/// # Errors
/// [`Error::Db`].
pub async fn begins_after(from: &impl Reads, ledger: Uuid) -> Result<i64> {
    let row = anchor::Entity::find_by_id(ledger).one(from.conn()).await?;
    Ok(row.map_or(0, |row| row.seq))
}

/// The anchor of a ledger, made if there is none. The row is locked until the transaction ends: nobody else moves it.
pub(super) async fn take(tx: &WriteTx, ledger: Uuid) -> Result<Anchor> {
    let sql = "INSERT INTO journal_anchors (ledger_id, seq, hash, seals, moved_at) VALUES ($1, 0, $2, $3, $4)
               ON CONFLICT (ledger_id) DO UPDATE SET seq = journal_anchors.seq
               RETURNING ledger_id, seq, hash, seals, moved_at";
    let values = [
        ledger.into(),
        GENESIS.to_vec().into(),
        Sum::default().bytes().into(),
        tx.now().into(),
    ];
    let row = anchor::Model::find_by_statement(tx.sql(sql, values))
        .one(tx.conn())
        .await?;
    anchor(row.ok_or_else(|| Error::internal("a ledger without an anchor"))?)
}

/// Moves the anchor of a ledger.
pub(super) async fn set(tx: &WriteTx, ledger: Uuid, to: &Anchor) -> Result<()> {
    let sql = "UPDATE journal_anchors SET seq = $2, hash = $3, seals = $4, moved_at = $5 WHERE ledger_id = $1";
    let values = [
        ledger.into(),
        to.seq.into(),
        to.hash.clone().into(),
        to.seals.bytes().into(),
        to.moved_at.into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// What the event of a removal says of the anchor.
pub(super) fn facts(of: &Anchor) -> [(&'static str, Value); 3] {
    [
        (LAST_SEQ, of.seq.into()),
        (LAST_HASH, hex::encode(&of.hash).into()),
        (SEALS, hex::encode(of.seals.bytes()).into()),
    ]
}

/// What an event says of the anchor; `None` for one that tells of something else.
pub(super) fn told(row: &event::Model) -> Option<Value> {
    if row.action != Action::AuditPurged.as_str() {
        return None;
    }
    let data: Value = serde_json::from_str(&row.data).unwrap_or_default();
    Some(Value::from_iter(
        [LAST_SEQ, LAST_HASH, SEALS].map(|name| data.get(name).cloned().unwrap_or_default()),
    ))
}

/// The same of an anchor.
pub(super) fn as_told(of: &Anchor) -> Value {
    Value::from_iter(facts(of).map(|(_, fact)| fact))
}
