//! Reading a ledger.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entity::event;
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
    let EventFilter {
        action,
        actor_id,
        resource_type,
        project,
        from: since,
        to,
        before_seq,
    } = filter;
    let mut query = event::Entity::find().filter(event::Column::LedgerId.eq(ledger));
    if let Some(action) = action {
        query = query.filter(event::Column::Action.eq(action));
    }
    if let Some(actor_id) = actor_id {
        query = query.filter(event::Column::ActorId.eq(actor_id));
    }
    if let Some(resource_type) = resource_type {
        query = query.filter(event::Column::TargetType.eq(resource_type));
    }
    if let Some(project) = project {
        query = query.filter(event::Column::ProjectId.eq(project));
    }
    if let Some(since) = since {
        query = query.filter(event::Column::At.gte(since));
    }
    if let Some(to) = to {
        query = query.filter(event::Column::At.lt(to));
    }
    let total = query.clone().count(from.conn()).await?;
    if let Some(before) = before_seq {
        query = query.filter(event::Column::Seq.lt(before));
    }
    let mut data = query
        .order_by_desc(event::Column::Seq)
        .offset(page.offset)
        .limit(page.limit + 1)
        .all(from.conn())
        .await?;
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
