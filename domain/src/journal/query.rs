//! Reading a ledger.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

use super::anchor::begins_after;
use super::entity::event;
use super::record::head;
use crate::kernel::id::{EventId, ProjectId};
use crate::kernel::page::{CursorPage, Page, PageRequest};
use crate::kernel::{Problem, Reads, Result, Timestamp};

/// Which events of a ledger are wanted; absent fields let everything pass.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    pub action: Option<String>,
    pub actor_id: Option<Uuid>,
    pub resource_type: Option<String>,
    pub project: Option<ProjectId>,
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub to: Option<Timestamp>,
    /// Only events older than this sequence number: the cursor, as fast on page 10,000 as on page 1.
    pub before_seq: Option<i64>,
}

/// Events of a ledger, newest first.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(
    from: &impl Reads,
    ledger: Uuid,
    filter: EventFilter,
    page: PageRequest,
) -> Result<CursorPage<event::Model>> {
    let before = filter.before_seq;
    let narrowed = narrowed(ledger, filter);
    let total = if let Some(query) = &narrowed {
        query.clone().count(from.conn()).await?
    } else {
        // The numbers have no gaps: the newest is the count, however long the ledger, but for those that are gone.
        let newest = head(from, ledger).await?.map_or(0, |head| head.seq);
        u64::try_from(newest - begins_after(from, ledger).await?).unwrap_or(0)
    };
    let mut query = narrowed.unwrap_or_else(|| all(ledger));
    if let Some(before) = before {
        query = query.filter(event::Column::Seq.lt(before));
    }
    let newest = query
        .order_by_desc(event::Column::Seq)
        .offset(page.offset)
        .limit(page.limit + 1);
    let mut data = newest.all(from.conn()).await?;
    let more = data.len() as u64 > page.limit;
    data.truncate(usize::try_from(page.limit).unwrap_or(usize::MAX));
    let next_cursor = if more {
        data.last().map(|row| row.seq.to_string())
    } else {
        None
    };
    Ok(CursorPage {
        page: Page {
            data,
            request: page,
            total,
        },
        next_cursor,
    })
}

fn all(ledger: Uuid) -> Select<event::Entity> {
    event::Entity::find().filter(event::Column::LedgerId.eq(ledger))
}

/// The query of a filter, the cursor left out; `None` for a filter that lets everything pass.
fn narrowed(ledger: Uuid, filter: EventFilter) -> Option<Select<event::Entity>> {
    let EventFilter {
        action,
        actor_id,
        resource_type,
        project,
        from,
        to,
        before_seq: _,
    } = filter;
    let conditions = [
        action.map(|action| event::Column::Action.eq(action)),
        actor_id.map(|id| event::Column::ActorId.eq(id)),
        resource_type.map(|kind| event::Column::TargetType.eq(kind)),
        project.map(|id| event::Column::ProjectId.eq(id)),
        from.map(|at| event::Column::At.gte(at)),
        to.map(|at| event::Column::At.lt(at)),
    ];
    conditions.into_iter().flatten().fold(None, |query, condition| {
        Some(query.unwrap_or_else(|| all(ledger)).filter(condition))
    })
}

/// One event of a ledger.
///
/// # Errors
/// `not_found`.
pub async fn get(from: &impl Reads, ledger: Uuid, id: EventId) -> Result<event::Model> {
    let found = event::Entity::find()
        .filter(event::Column::LedgerId.eq(ledger))
        .filter(event::Column::Id.eq(id))
        .one(from.conn())
        .await?;
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// Whether an event of a ledger is still kept.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn is_kept(from: &impl Reads, ledger: Uuid, id: EventId) -> Result<bool> {
    let kept = event::Entity::find()
        .filter(event::Column::LedgerId.eq(ledger))
        .filter(event::Column::Id.eq(id))
        .count(from.conn())
        .await?;
    Ok(kept > 0)
}
