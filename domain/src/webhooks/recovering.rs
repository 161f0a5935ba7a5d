//! The walk of a recovery. Each step moves its place and makes the deliveries in one transaction, so a worker that dies
//! in the middle neither loses a delivery nor makes one twice.

use std::collections::{HashMap, HashSet};

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;

use super::delivery;
use super::endpoint::{self, Webhook};
use super::entity::{recovery as rows, webhook};
use super::recovery::{self, Recovery, RecoveryState};
use crate::jobs::{self, Cause, JobState, Placed};
use crate::journal::entity::event;
use crate::journal::{Action, subscribes};
use crate::kernel::id::{EventId, RecoveryId, WebhookId};
use crate::kernel::{Backend, Db, Error, Reads, Result, WriteTx, trace};

/// Events of one step at most.
const STEP: u64 = 500;

/// What comes after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another step. These lanes have work.
    Step(Vec<String>),
    /// Everything was looked at. These lanes have work.
    Done(Vec<String>),
    /// It is no longer wanted.
    Cancelled,
}

/// Takes one step of a recovery.
///
/// # Errors
/// [`Error::Db`]; the step is undone then and can be taken again.
pub async fn step(db: &Db, id: RecoveryId) -> Result<Next> {
    let Some(row) = rows::Entity::find_by_id(id).one(db.conn()).await? else {
        return Ok(Next::Cancelled);
    };
    let at = recovery::recovery(row)?;
    match at.state {
        RecoveryState::Running => {}
        RecoveryState::Done => return Ok(Next::Done(Vec::new())),
        RecoveryState::Cancelled => return Ok(Next::Cancelled),
    }
    let Some(webhook) = live(db, at.webhook_id).await? else {
        return cancel(db, id).await;
    };
    // Read before the transaction, so that nobody waits for it: the past does not change.
    let events = events(db, &at, &webhook).await?;
    let is_last = (events.len() as u64) < STEP;
    let to = if is_last {
        at.end_seq
    } else {
        events.last().map_or(at.end_seq, |event| event.seq)
    };
    let tx = db.begin_write().await?;
    if !advance(&tx, &at, to).await? {
        tx.rollback().await?;
        return Ok(Next::Step(Vec::new()));
    }
    if !hold(&tx, webhook.id).await? {
        tx.rollback().await?;
        return cancel(db, id).await;
    }
    let wanted: Vec<(i64, EventId)> = events
        .iter()
        .filter(|event| webhook.filter.admits(event))
        .map(|event| (event.seq, event.id))
        .collect();
    let made = deliver(&tx, &at, &webhook, wanted).await?;
    note(&tx, id, made, is_last).await?;
    let lanes = tx.commit_bookkeeping().await?;
    Ok(if is_last { Next::Done(lanes) } else { Next::Step(lanes) })
}

async fn live(from: &impl Reads, id: WebhookId) -> Result<Option<Webhook>> {
    let row = webhook::Entity::find_by_id(id)
        .filter(webhook::Column::DeletedAt.is_null())
        .filter(webhook::Column::Enabled.eq(true))
        .one(from.conn())
        .await?;
    row.map(endpoint::webhook).transpose()
}

/// The next events that the endpoint subscribes to, whatever its filter says of them.
async fn events(from: &impl Reads, at: &Recovery, webhook: &Webhook) -> Result<Vec<event::Model>> {
    let subscribed = |action: &&Action| webhook.events.iter().any(|name| subscribes(name, **action));
    let actions = Action::ALL.iter().filter(subscribed).map(|action| action.as_str());
    let mut query = event::Entity::find()
        .filter(event::Column::LedgerId.eq(webhook.org_id.0))
        .filter(event::Column::Seq.gt(at.at_seq))
        .filter(event::Column::Seq.lte(at.end_seq))
        .filter(event::Column::At.gte(at.since))
        .filter(event::Column::Action.is_in(actions));
    if let Some(until) = at.until {
        query = query.filter(event::Column::At.lt(until));
    }
    Ok(query
        .order_by_asc(event::Column::Seq)
        .limit(STEP)
        .all(from.conn())
        .await?)
}

/// Moves the recovery on, and holds its row. Tells whether it was where it was thought to be: another worker, whose
/// lease has run out, may have moved it.
async fn advance(tx: &WriteTx, at: &Recovery, to: i64) -> Result<bool> {
    let sql = "UPDATE webhook_recoveries SET at_seq = $3 WHERE id = $1 AND at_seq = $2 AND state = 'running'";
    let values = [at.id.into(), at.at_seq.into(), to.into()];
    let moved = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(moved.rows_affected() == 1)
}

/// Keeps the endpoint from being switched off or deleted until the deliveries are committed. Tells whether it is on.
async fn hold(tx: &WriteTx, id: WebhookId) -> Result<bool> {
    let lock = match tx.backend() {
        Backend::Postgres => " FOR SHARE",
        Backend::Sqlite => "",
    };
    let sql = format!("SELECT id FROM webhooks WHERE id = $1 AND enabled AND deleted_at IS NULL{lock}");
    let row = tx.conn().query_one_raw(tx.sql(&sql, [id.into()])).await?;
    Ok(row.is_some())
}

#[derive(FromQueryResult)]
struct Had {
    event_id: EventId,
    state: i32,
}

/// What became of each event's deliveries to the endpoint. They are found by their keys, which begin with both.
async fn had(
    tx: &WriteTx,
    webhook: &Webhook,
    events: &[(i64, EventId)],
) -> Result<HashMap<EventId, HashSet<JobState>>> {
    // Behind a colon, which comes before what tells repetitions apart, comes a semicolon.
    let key = |(_, event): &(i64, EventId)| {
        let key = delivery::idempotency_key(webhook.id, *event);
        json!({ "low": key, "high": format!("{key};") })
    };
    let keys: Vec<_> = events.iter().map(key).collect();
    // A look for each key: the planners do not see that two bounds make a narrow range, and would rather join everything.
    let sql = match tx.backend() {
        Backend::Postgres => {
            "SELECT j.event_id, j.state FROM json_to_recordset($1::json) AS v (low text, high text)
             CROSS JOIN LATERAL (
                SELECT event_id, state FROM jobs
                WHERE kind = 'webhook' AND idempotency_key >= v.low AND idempotency_key < v.high OFFSET 0) j"
        }
        Backend::Sqlite => {
            "SELECT j.event_id, j.state FROM json_each($1) AS v CROSS JOIN jobs j
             WHERE j.kind = 'webhook' AND j.idempotency_key >= v.value->>'low' AND j.idempotency_key < v.value->>'high'"
        }
    };
    let rows = Had::find_by_statement(tx.sql(sql, [json!(keys).to_string().into()]));
    let mut states: HashMap<EventId, HashSet<JobState>> = HashMap::new();
    for Had { event_id, state } in rows.all(tx.conn()).await? {
        // Whether it runs does not matter here.
        let state = JobState::stored(state, false)?;
        states.entry(event_id).or_default().insert(state);
    }
    Ok(states)
}

/// Makes the deliveries of those events that the mode wants; returns how many.
async fn deliver(tx: &WriteTx, at: &Recovery, webhook: &Webhook, events: Vec<(i64, EventId)>) -> Result<i64> {
    if events.is_empty() {
        return Ok(0);
    }
    let states = had(tx, webhook, &events).await?;
    let none = HashSet::new();
    let mut made = Vec::new();
    let span = trace::current();
    for (seq, event) in events {
        let had = states.get(&event).unwrap_or(&none);
        if at.mode.wants(had) {
            let again = (!had.is_empty()).then_some(at.id.0);
            let job = delivery::new_job(webhook, event, Cause::Recovery, again);
            made.push(Placed { job, seq, span });
        }
    }
    let made = jobs::emit_in_order(tx, made).await?;
    i64::try_from(made.len()).map_err(|_| Error::internal("a step too long"))
}

async fn note(tx: &WriteTx, id: RecoveryId, made: i64, is_last: bool) -> Result<()> {
    let sql = "UPDATE webhook_recoveries SET emitted = emitted + $2 WHERE id = $1";
    tx.conn().execute_raw(tx.sql(sql, [id.into(), made.into()])).await?;
    if is_last {
        end(tx, id, RecoveryState::Done).await?;
    }
    Ok(())
}

async fn end(tx: &WriteTx, id: RecoveryId, state: RecoveryState) -> Result<()> {
    let sql = "UPDATE webhook_recoveries SET state = $2, done_at = $3 WHERE id = $1 AND state = 'running'";
    let values = [id.into(), state.as_str().into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

async fn cancel(db: &Db, id: RecoveryId) -> Result<Next> {
    let tx = db.begin_write().await?;
    end(&tx, id, RecoveryState::Cancelled).await?;
    tx.commit_bookkeeping().await?;
    Ok(Next::Cancelled)
}

/// Ends a recovery whose job was given up, so that another can be asked for.
///
/// # Errors
/// [`Error::Db`].
pub async fn give_up(db: &Db, id: RecoveryId) -> Result<()> {
    cancel(db, id).await.map(drop)
}
