//! Deliveries: an event on its way to an endpoint, and the log of its attempts.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::endpoint::{self, Webhook};
use super::entity::webhook;
use crate::access::grant::{WebhooksManage, WebhooksRead};
use crate::access::{Caller, OrgAccess};
use crate::jobs::entity::{attempt, job};
use crate::jobs::{self, Cause, Job, JobState, NewJob};
use crate::journal::entity::event;
use crate::journal::{self, Action};
use crate::kernel::id::{DeliveryId, EventId, JobId, WebhookId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::page::{CursorPage, Page, PageRequest};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// A delivery with its attempts, oldest first.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: DeliveryId,
    pub event_id: Option<EventId>,
    /// Empty when the event is no longer kept.
    pub event_type: String,
    pub state: JobState,
    /// `event`, `test`, `resend` or `recovery`.
    pub cause: String,
    pub attempts: Vec<attempt::Model>,
    /// When it will be tried again; `None` once it has ended.
    pub next_attempt_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

#[derive(FromQueryResult)]
struct EventType {
    id: EventId,
    action: String,
}

/// `held` are those under way, as they were before the rows were read.
async fn deliveries(from: &impl Reads, rows: Vec<job::Model>, held: &HashSet<JobId>) -> Result<Vec<Delivery>> {
    let events: Vec<EventId> = rows.iter().filter_map(|row| row.event_id).collect();
    let types = event::Entity::find()
        .select_only()
        .columns([event::Column::Id, event::Column::Action])
        .filter(event::Column::Id.is_in(events))
        .into_model::<EventType>()
        .all(from.conn())
        .await?;
    let types: HashMap<EventId, String> = types.into_iter().map(|row| (row.id, row.action)).collect();
    let ids: Vec<JobId> = rows.iter().map(|row| row.id).collect();
    let logs = attempt::Entity::find()
        .filter(attempt::Column::JobId.is_in(ids))
        .order_by_asc(attempt::Column::StartedAt)
        .order_by_asc(attempt::Column::Id)
        .all(from.conn())
        .await?;
    let mut attempts: HashMap<JobId, Vec<attempt::Model>> = HashMap::new();
    for log in logs {
        attempts.entry(log.job_id).or_default().push(log);
    }
    rows.into_iter()
        .map(|row| {
            let state = JobState::stored(row.state, held.contains(&row.id))?;
            let event_type = row.event_id.and_then(|id| types.get(&id).cloned()).unwrap_or_default();
            Ok(Delivery {
                id: DeliveryId(row.id.0),
                event_id: row.event_id,
                event_type,
                state,
                cause: row.cause,
                attempts: attempts.remove(&row.id).unwrap_or_default(),
                next_attempt_at: (state == JobState::Ready).then_some(row.next_at),
                created_at: row.created_at,
            })
        })
        .collect()
}

/// The deliveries to an endpoint, newest first. `before` is the cursor of the page before.
///
/// # Errors
/// `not_found`; `invalid_field` for a cursor that is none of ours.
pub async fn list(
    from: &impl Reads,
    access: &OrgAccess<WebhooksRead>,
    webhook: &str,
    before: Option<&str>,
    page: PageRequest,
) -> Result<CursorPage<Delivery>> {
    let webhook = endpoint::get(from, access, webhook).await?;
    let held = jobs::held(from, webhook.id).await?;
    let mut query = job::Entity::find().filter(job::Column::WebhookId.eq(webhook.id));
    let total = query.clone().count(from.conn()).await?;
    if let Some(before) = before {
        let before: DeliveryId = before
            .parse()
            .map_err(|_| Problem::field("after", "format", "must be a `next_cursor` of this list"))?;
        query = query.filter(job::Column::Id.lt(JobId(before.0)));
    }
    // Ids are UUIDv7: their order is the order of creation.
    let mut rows = query
        .order_by_desc(job::Column::Id)
        .offset(page.offset)
        .limit(page.limit + 1)
        .all(from.conn())
        .await?;
    let more = rows.len() as u64 > page.limit;
    rows.truncate(usize::try_from(page.limit).unwrap_or(usize::MAX));
    let data = deliveries(from, rows, &held).await?;
    let next_cursor = if more {
        data.last().map(|delivery| delivery.id.to_string())
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

/// The newest deliveries to an endpoint.
pub(super) async fn newest(from: &impl Reads, webhook: WebhookId, limit: u64) -> Result<Vec<Delivery>> {
    let held = jobs::held(from, webhook).await?;
    let rows = job::Entity::find()
        .filter(job::Column::WebhookId.eq(webhook))
        // Along the index, however many there are.
        .order_by_desc(job::Column::Id)
        .limit(limit)
        .all(from.conn())
        .await?;
    deliveries(from, rows, &held).await
}

/// One delivery to an endpoint.
///
/// # Errors
/// `not_found`.
pub async fn get<A>(from: &impl Reads, access: &OrgAccess<A>, webhook: &str, id: &str) -> Result<Delivery> {
    let webhook = endpoint::get(from, access, webhook).await?;
    let id: DeliveryId = id.parse().map_err(|_| Problem::not_found())?;
    let held = jobs::held(from, webhook.id).await?;
    let row = job::Entity::find_by_id(JobId(id.0))
        .filter(job::Column::WebhookId.eq(webhook.id))
        .one(from.conn())
        .await?;
    let mut found = deliveries(from, vec![row.ok_or_else(Problem::not_found)?], &held).await?;
    found.pop().ok_or_else(|| Problem::not_found().into())
}

/// Queues a test event for one endpoint, whatever it subscribes to.
///
/// # Errors
/// `not_found`; `conflict` for an endpoint that is switched off.
pub async fn queue_test(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<WebhooksManage>,
    webhook: &str,
) -> Result<DeliveryId> {
    let webhook = endpoint::get(tx, access, webhook).await?;
    webhook.require_enabled()?;
    let entry = endpoint::entry(Action::WebhookTested, &webhook).with("test", true);
    let recorded = journal::record(tx, &caller.origin, entry).await?;
    emit_one(tx, new_job(&webhook, recorded.id, Cause::Test, None)).await
}

/// Sends the event of a delivery once more, under the same id, whatever came of the delivery.
///
/// # Errors
/// `not_found`; `conflict` for an endpoint that is switched off; `events_purged` for an event that is no longer kept.
pub async fn resend(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<WebhooksManage>,
    webhook: &str,
    delivery: &str,
) -> Result<Delivery> {
    let found = get(tx, access, webhook, delivery).await?;
    let webhook = endpoint::get(tx, access, webhook).await?;
    webhook.require_enabled()?;
    let event = found
        .event_id
        .ok_or_else(|| Error::internal("a delivery without an event"))?;
    if !journal::is_kept(tx, webhook.org_id.0, event).await? {
        let detail = "The event is no longer kept, as the plan has it.";
        return Err(Problem::new(ProblemCode::EventsPurged, detail).into());
    }
    let once: Uuid = tx.new_id()?;
    let id = emit_one(tx, new_job(&webhook, event, Cause::Resend, Some(once))).await?;
    let entry = endpoint::entry(Action::WebhookResent, &webhook)
        .with("delivery", id.to_string())
        .with("event", event.to_string());
    journal::record(tx, &caller.origin, entry).await?;
    get(tx, access, &webhook.id.to_string(), &id.to_string()).await
}

async fn emit_one(tx: &WriteTx, job: NewJob) -> Result<DeliveryId> {
    let ids = jobs::emit(tx, vec![job]).await?;
    let id = ids.first().ok_or_else(|| Error::internal("a job without an id"))?;
    Ok(DeliveryId(id.0))
}

/// What the keys of all deliveries of an event to an endpoint begin with; that of the first is nothing more.
pub(super) fn idempotency_key(webhook: WebhookId, event: EventId) -> String {
    format!("{}:{}", event.0.simple(), webhook.0.simple())
}

/// The delivery of an event to an endpoint. The first of them, without `again`, is made once, whoever asks for it. What
/// somebody asked for by hand does not queue up behind the rest.
pub(super) fn new_job(webhook: &Webhook, event: EventId, cause: Cause, again: Option<Uuid>) -> NewJob {
    let mut idempotency_key = idempotency_key(webhook.id, event);
    if let Some(again) = again {
        let _ = write!(idempotency_key, ":{}", again.simple());
    }
    let way = match cause {
        Cause::Test | Cause::Resend => jobs::AT_ONCE,
        Cause::Event | Cause::Recovery => "",
    };
    NewJob {
        job: Job::DeliverWebhookV1,
        lane: format!("{}{way}", webhook.id.0.simple()),
        org_id: Some(webhook.org_id),
        webhook_id: Some(webhook.id),
        event_id: Some(event),
        cause,
        idempotency_key,
    }
}

/// Whether a delivery has ended, and how.
///
/// # Errors
/// [`Error::Db`].
pub async fn ended(from: &impl Reads, id: DeliveryId) -> Result<bool> {
    let row = job::Entity::find_by_id(JobId(id.0)).one(from.conn()).await?;
    Ok(row.is_some_and(|row| row.state != JobState::Ready.as_i32()))
}

/// What the worker needs to make the deliveries that it claimed: endpoints and events, each fetched once.
pub struct Material {
    pub webhooks: HashMap<WebhookId, Webhook>,
    pub events: HashMap<EventId, event::Model>,
}

/// Loads the material of a batch of jobs in two queries.
///
/// # Errors
/// [`Error::Db`].
pub async fn material(from: &impl Reads, webhooks: Vec<WebhookId>, events: Vec<EventId>) -> Result<Material> {
    let is_wanted = is_one_of(from.backend(), "id", "$1");
    let sql = format!("SELECT * FROM webhooks WHERE {is_wanted} AND deleted_at IS NULL");
    let wanted = id_param(webhooks.into_iter().map(|id| id.0));
    let rows = webhook::Model::find_by_statement(from.sql(&sql, [wanted]))
        .all(from.conn())
        .await?;
    let webhooks = rows
        .into_iter()
        .map(|row| endpoint::webhook(row).map(|webhook| (webhook.id, webhook)))
        .collect::<Result<_>>()?;
    let sql = format!("SELECT * FROM journal WHERE {is_wanted}");
    let wanted = id_param(events.into_iter().map(|id| id.0));
    let rows = event::Model::find_by_statement(from.sql(&sql, [wanted]))
        .all(from.conn())
        .await?;
    Ok(Material {
        webhooks,
        events: rows.into_iter().map(|row| (row.id, row)).collect(),
    })
}
