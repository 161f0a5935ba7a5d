//! A ledger as a feed: what others may hear of it, oldest first, and where the next reader goes on.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::Action;
use super::anchor::begins_after;
use super::entity::{event, ledger};
use super::record::head;
use crate::kernel::{Reads, Result};

/// Numbers that one statement looks at: most rows of a busy ledger may be reads, which are not told.
const STRIDE: i64 = 2_000;
/// Statements at most, so that a reader who wants what is rare is answered in time.
const STRIDES: usize = 25;

/// A part of a ledger that was looked at.
pub struct Stretch {
    /// What was wanted of it, in the order of their numbers.
    pub rows: Vec<event::Model>,
    /// Everything up to this number was looked at.
    pub looked_at: i64,
    /// The newest number that there is.
    pub head: i64,
    /// The number behind which events are still kept, when some that were asked for are gone.
    pub gone_until: Option<i64>,
}

/// Events of the wanted types that come after a number: `limit` of them, or fewer when much was looked at. After 0 come
/// all that are still kept.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn deliverable(
    from: &impl Reads,
    ledger: Uuid,
    wanted: &[Action],
    after: i64,
    limit: u64,
) -> Result<Stretch> {
    // Numbers are given in the order of commits and without gaps: nothing comes in below a head that was read.
    let head = head(from, ledger).await?.map_or(0, |head| head.seq);
    let after = if after == 0 {
        begins_after(from, ledger).await?
    } else {
        after
    };
    let (mut rows, mut looked_at) = (Vec::new(), after);
    for _ in 0..STRIDES {
        if looked_at >= head || !rows.is_empty() {
            break;
        }
        let until = head.min(looked_at.saturating_add(STRIDE));
        rows = event::Entity::find()
            .filter(event::Column::LedgerId.eq(ledger))
            .filter(event::Column::Seq.gt(looked_at))
            .filter(event::Column::Seq.lte(until))
            .filter(event::Column::Action.is_in(wanted.iter().map(|action| action.as_str())))
            .order_by_asc(event::Column::Seq)
            .limit(limit)
            .all(from.conn())
            .await?;
        let is_full = rows.len() as u64 >= limit;
        looked_at = match rows.last() {
            Some(last) if is_full => last.seq,
            Some(_) | None => until,
        };
    }
    // Asked for last: what was removed while we looked is noticed.
    let begins_after = begins_after(from, ledger).await?;
    Ok(Stretch {
        rows,
        looked_at,
        head,
        gone_until: (begins_after > after).then_some(begins_after),
    })
}

/// The newest numbers of some ledgers, in one statement. Those that have none are left out.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn heads(from: &impl Reads, ledgers: &[Uuid]) -> Result<HashMap<Uuid, i64>> {
    let rows = ledger::Entity::find()
        .filter(ledger::Column::Id.is_in(ledgers.iter().copied()))
        .all(from.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.seq)).collect())
}
