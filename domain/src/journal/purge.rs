//! Removing the oldest events of an organisation's ledger, in steps. What they told of stored secrets is taken over first,
//! and the chain goes on from the last of them: its anchor, which an event at the head of the same chain tells too.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter};
use uuid::Uuid;

use super::anchor::{self, Anchor};
use super::entity::event;
use super::record::{Entry, Target, head, record};
use super::{Action, seals};
use crate::access::Origin;
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Error, Reads, Result, Timestamp, WriteTx};

/// Events that one step removes at most.
const STEP: i64 = 2_000;

#[derive(FromQueryResult)]
struct Lowest {
    seq: Option<i64>,
}

#[derive(FromQueryResult)]
struct Needed {
    org_id: OrgId,
    seq: i64,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// For each organisation the number of the oldest event that a delivery waits to carry out, of those from before an
/// instant.
///
/// # Errors
/// [`Error::Db`].
pub async fn needed(from: &impl Reads, before: Timestamp) -> Result<HashMap<OrgId, i64>> {
    let sql = "SELECT j.ledger_id AS org_id, MIN(j.seq) AS seq FROM jobs x JOIN journal j ON j.id = x.event_id
               WHERE x.state < 2 AND j.at < $1 GROUP BY j.ledger_id";
    let rows = Needed::find_by_statement(from.sql(sql, [before.into()]))
        .all(from.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (row.org_id, row.seq)).collect())
}

/// Removes the oldest events of an organisation: those from before an instant, with smaller numbers than one that is
/// needed, and never the newest of all. One step; returns how many, 0 when nothing is left to remove.
///
/// # Errors
/// [`Error::Db`]; nothing was removed then.
pub async fn purge(db: &Db, org: OrgId, before: Timestamp, needed: Option<i64>) -> Result<u64> {
    let ledger = org.0;
    let tx = db.begin_write().await?;
    let was = anchor::take(&tx, ledger).await?;
    let Some(until) = reach(&tx, ledger, was.seq, before, needed).await? else {
        tx.rollback().await?;
        return Ok(0);
    };
    let (until, seals) = seals::carry(&tx, ledger, was.seq, until, was.seals).await?;
    let last = event::Entity::find_by_id((ledger, until)).one(tx.conn()).await?;
    let last = last.ok_or_else(|| Error::internal("a ledger with a gap"))?;
    let anchor = Anchor {
        seq: until,
        hash: last.hash,
        moved_at: tx.now(),
        seals,
    };
    let removed = event::Entity::delete_many()
        .filter(event::Column::LedgerId.eq(ledger))
        .filter(event::Column::Seq.gt(was.seq))
        .filter(event::Column::Seq.lte(until))
        .exec(tx.conn())
        .await?
        .rows_affected;
    anchor::set(&tx, ledger, &anchor).await?;
    let entry = Entry::in_org(org, Action::AuditPurged, Target::Org(org))
        .with("events", removed)
        .with("before", before.to_string());
    let entry = anchor::facts(&anchor)
        .into_iter()
        .fold(entry, |entry, (name, fact)| entry.with(name, fact));
    record(&tx, &Origin::system(), entry).await?;
    tx.commit().await?;
    Ok(removed)
}

/// The number up to which a step goes; `None` when there is nothing to remove, or nothing but events of removals: one that
/// removes those alone would leave another.
async fn reach(tx: &WriteTx, ledger: Uuid, after: i64, before: Timestamp, needed: Option<i64>) -> Result<Option<i64>> {
    let newest = head(tx, ledger).await?.map_or(0, |head| head.seq);
    let until = (after + STEP).min(newest - 1).min(needed.unwrap_or(i64::MAX) - 1);
    // Numbers go by commits and instants by beginnings: a younger event may have a smaller number.
    let sql = "SELECT MIN(seq) AS seq FROM journal WHERE ledger_id = $1 AND seq > $2 AND seq <= $3 AND at >= $4";
    let values = [ledger.into(), after.into(), until.into(), before.into()];
    let younger = Lowest::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
    let until = younger.and_then(|row| row.seq).map_or(until, |seq| seq - 1);
    let sql = "SELECT COUNT(*) AS n FROM journal WHERE ledger_id = $1 AND seq > $2 AND seq <= $3 AND action <> $4";
    let values = [
        ledger.into(),
        after.into(),
        until.into(),
        Action::AuditPurged.as_str().into(),
    ];
    let others = Count::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?;
    Ok(others.filter(|others| others.n > 0).map(|_| until))
}
