//! Recoveries: past events, delivered to an endpoint once more. A recovery is a row with a place in the journal, and a
//! job that walks on from there. Each step moves the place and makes the deliveries in one transaction, so a worker that
//! dies in the middle neither loses a delivery nor makes one twice.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
};

use super::delivery;
use super::endpoint::{self, Webhook};
use super::entity::{recovery, webhook};
use crate::access::grant::WebhooksManage;
use crate::access::{Caller, OrgAccess};
use crate::jobs::entity::job;
use crate::jobs::{self, Cause, Job, JobKind, JobState, NewJob};
use crate::journal::entity::event;
use crate::journal::{self, Action, subscribes};
use crate::kernel::id::{EventId, RecoveryId, WebhookId};
use crate::kernel::{Backend, Db, Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// Events of one step at most.
const STEP: u64 = 500;

/// Which past events are delivered once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Those whose deliveries failed or were cancelled, and that have not arrived since.
    Failed,
    /// Those that had no delivery, as while the endpoint was switched off.
    Missing,
    All,
}

impl RecoveryMode {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Missing => "missing",
            Self::All => "all",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Failed, Self::Missing, Self::All]
            .into_iter()
            .find(|mode| mode.as_str() == text)
    }

    /// Whether an event that had deliveries in these states is delivered once more.
    fn wants(self, states: &HashSet<JobState>) -> bool {
        let ended_in_vain = |state: &JobState| matches!(state, JobState::Dead | JobState::Cancelled);
        match self {
            Self::Failed => !states.is_empty() && states.iter().all(ended_in_vain),
            Self::Missing => states.is_empty(),
            Self::All => true,
        }
    }
}

/// How a recovery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryState {
    Running,
    Done,
    /// The endpoint was switched off or deleted before it was done.
    Cancelled,
}

impl RecoveryState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Running, Self::Done, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// A recovery and how far it has come.
#[derive(Clone, Debug)]
pub struct Recovery {
    pub id: RecoveryId,
    pub webhook_id: WebhookId,
    pub mode: RecoveryMode,
    pub since: Timestamp,
    /// Exclusive; `None` for all that there was when it began.
    pub until: Option<Timestamp>,
    /// Number of the last event that was looked at.
    pub at_seq: i64,
    /// Number of the last event that there was when it began.
    pub end_seq: i64,
    /// Deliveries made.
    pub emitted: i64,
    pub state: RecoveryState,
    pub created_at: Timestamp,
    pub done_at: Option<Timestamp>,
}

fn recovery(row: recovery::Model) -> Result<Recovery> {
    let recovery::Model {
        id,
        webhook_id,
        org_id: _,
        mode,
        since,
        until,
        at_seq,
        end_seq,
        emitted,
        state,
        created_at,
        done_at,
    } = row;
    let broken = || Error::internal(format!("recovery {id} is stored wrongly"));
    Ok(Recovery {
        id,
        webhook_id,
        mode: RecoveryMode::parse(&mode).ok_or_else(broken)?,
        since,
        until,
        at_seq,
        end_seq,
        emitted,
        state: RecoveryState::parse(&state).ok_or_else(broken)?,
        created_at,
        done_at,
    })
}

/// What is to be delivered once more.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub mode: RecoveryMode,
    pub since: Timestamp,
    /// Exclusive; `None` for all that there is.
    pub until: Option<Timestamp>,
}

/// Begins a recovery; a worker does the rest.
///
/// # Errors
/// `not_found`; `invalid_field` naming `since` or `until`; `conflict` for an endpoint that is switched off, or that has
/// a recovery under way.
pub async fn start(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<WebhooksManage>,
    webhook: &str,
    wanted: Wanted,
) -> Result<Recovery> {
    let webhook = endpoint::get(tx, access, webhook).await?;
    webhook.require_enabled()?;
    let Wanted { mode, since, until } = wanted;
    if since > tx.now() {
        return Err(Problem::field("since", "range", "must not lie in the future").into());
    }
    if until.is_some_and(|until| until <= since) {
        return Err(Problem::field("until", "range", "must lie after `since`").into());
    }
    if jobs::has_open(tx, JobKind::Recovery, &lane(webhook.id)).await? {
        return Err(underway());
    }
    end_abandoned(tx, webhook.id).await?;
    let id: RecoveryId = tx.new_id()?;
    let entry = endpoint::entry(Action::WebhookRecoveryStarted, &webhook)
        .with("recovery", id.to_string())
        .with("mode", mode.as_str())
        .with("since", since.to_string())
        .with("until", until.map(|until| until.to_string()));
    // From here to the commit the ledger is locked: every event of before has its number.
    let recorded = journal::record(tx, &caller.origin, entry).await?;
    let row = recovery::ActiveModel {
        id: Set(id),
        webhook_id: Set(webhook.id),
        org_id: Set(webhook.org_id),
        mode: Set(mode.as_str().to_owned()),
        since: Set(since),
        until: Set(until),
        at_seq: Set(0),
        end_seq: Set(recorded.seq - 1),
        emitted: Set(0),
        state: Set(RecoveryState::Running.as_str().to_owned()),
        created_at: Set(tx.now()),
        done_at: Set(None),
    };
    let made = recovery::Entity::insert(row).exec_with_returning(tx.conn()).await;
    let made = made.map_err(|error| match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => underway(),
        _ => Error::Db(error),
    })?;
    jobs::emit(tx, vec![walk(&webhook, id)]).await?;
    recovery(made)
}

fn underway() -> Error {
    let detail =
        "A recovery of this webhook is under way. Wait until it is done; `get_webhook` shows how far it has come.";
    Problem::new(ProblemCode::Conflict, detail).into()
}

/// The job carries no webhook: it is no delivery.
fn walk(webhook: &Webhook, id: RecoveryId) -> NewJob {
    NewJob {
        job: Job::RecoverWebhookV1 { recovery_id: id },
        lane: lane(webhook.id),
        org_id: Some(webhook.org_id),
        webhook_id: None,
        event_id: None,
        cause: Cause::Recovery,
        idempotency_key: id.0.simple().to_string(),
    }
}

fn lane(webhook: WebhookId) -> String {
    webhook.0.simple().to_string()
}

/// Ends a recovery that nobody works at: its workers died over it, one after the other.
async fn end_abandoned(tx: &WriteTx, webhook: WebhookId) -> Result<()> {
    let sql = "UPDATE webhook_recoveries SET state = 'cancelled', done_at = $2
               WHERE webhook_id = $1 AND state = 'running'";
    tx.conn()
        .execute_raw(tx.sql(sql, [webhook.into(), tx.now().into()]))
        .await?;
    Ok(())
}

/// The last recovery of an endpoint.
pub(super) async fn last(from: &impl Reads, webhook: WebhookId) -> Result<Option<Recovery>> {
    let row = recovery::Entity::find()
        .filter(recovery::Column::WebhookId.eq(webhook))
        .order_by_desc(recovery::Column::CreatedAt)
        .order_by_desc(recovery::Column::Id)
        .one(from.conn())
        .await?;
    row.map(recovery).transpose()
}

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
    let Some(row) = recovery::Entity::find_by_id(id).one(db.conn()).await? else {
        return Ok(Next::Cancelled);
    };
    let at = recovery(row)?;
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
    let wanted: Vec<EventId> = events
        .iter()
        .filter(|event| webhook.filter.admits(event))
        .map(|event| event.id)
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

/// Makes the deliveries of those events that the mode wants; returns how many.
async fn deliver(tx: &WriteTx, at: &Recovery, webhook: &Webhook, events: Vec<EventId>) -> Result<i64> {
    if events.is_empty() {
        return Ok(0);
    }
    let had = job::Entity::find()
        .select_only()
        .columns([job::Column::EventId, job::Column::State])
        .filter(job::Column::WebhookId.eq(webhook.id))
        .filter(job::Column::EventId.is_in(events.iter().copied()))
        .into_model::<Had>()
        .all(tx.conn())
        .await?;
    let mut states: HashMap<EventId, HashSet<JobState>> = HashMap::new();
    for Had { event_id, state } in had {
        let state = JobState::from_i32(state).ok_or_else(|| Error::internal("a job's state is stored wrongly"))?;
        states.entry(event_id).or_default().insert(state);
    }
    let none = HashSet::new();
    let mut made = Vec::new();
    for event in events {
        let had = states.get(&event).unwrap_or(&none);
        if at.mode.wants(had) {
            let again = (!had.is_empty()).then_some(at.id.0);
            made.push(delivery::new_job(webhook, event, Cause::Recovery, again));
        }
    }
    let made = jobs::emit(tx, made).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_wants_its_own() {
        use JobState::{Cancelled, Dead, Done, Ready, Running};
        let cases: [(&[JobState], [bool; 3]); 7] = [
            (&[], [false, true, true]),
            (&[Dead], [true, false, true]),
            (&[Cancelled], [true, false, true]),
            (&[Dead, Cancelled], [true, false, true]),
            (&[Dead, Done], [false, false, true]),
            (&[Dead, Ready], [false, false, true]),
            (&[Running], [false, false, true]),
        ];
        for (states, expected) in cases {
            let states: HashSet<JobState> = states.iter().copied().collect();
            let modes = [RecoveryMode::Failed, RecoveryMode::Missing, RecoveryMode::All];
            assert_eq!(modes.map(|mode| mode.wants(&states)), expected, "{states:?}");
        }
    }
}
