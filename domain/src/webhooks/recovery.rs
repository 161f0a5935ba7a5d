//! Recoveries: past events, delivered to an endpoint once more. A recovery is a row with a place in the journal, and a
//! job that walks on from there.

use std::collections::HashSet;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};

use super::endpoint::{self, Webhook};
use super::entity::recovery;
use crate::access::grant::WebhooksManage;
use crate::access::{Caller, OrgAccess};
use crate::jobs::{self, Cause, Job, JobKind, JobState, NewJob};
use crate::journal::{self, Action};
use crate::kernel::id::{OrgId, RecoveryId, WebhookId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

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
    pub(super) fn wants(self, states: &HashSet<JobState>) -> bool {
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

pub(super) fn recovery(row: recovery::Model) -> Result<Recovery> {
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
///
/// # Errors
/// `conflict` when somebody does.
async fn end_abandoned(tx: &WriteTx, webhook: WebhookId) -> Result<()> {
    let sql = "UPDATE webhook_recoveries SET state = 'cancelled', done_at = $2
               WHERE webhook_id = $1 AND state = 'running'";
    let ended = tx
        .conn()
        .execute_raw(tx.sql(sql, [webhook.into(), tx.now().into()]))
        .await?;
    // Refused, the transaction is given up, and with it that end.
    if ended.rows_affected() > 0 && jobs::has_open(tx, JobKind::Recovery, &lane(webhook)).await? {
        return Err(underway());
    }
    Ok(())
}

/// Whether a recovery of an organisation's needs events from before an instant. One that began before `lately` and has not
/// ended is not under way any more.
///
/// # Errors
/// [`Error::Db`].
pub async fn needs_older(from: &impl Reads, org: OrgId, before: Timestamp, lately: Timestamp) -> Result<bool> {
    let under_way = recovery::Entity::find()
        .filter(recovery::Column::OrgId.eq(org))
        .filter(recovery::Column::State.eq(RecoveryState::Running.as_str()))
        .filter(recovery::Column::Since.lt(before))
        .filter(recovery::Column::CreatedAt.gte(lately))
        .count(from.conn())
        .await?;
    Ok(under_way > 0)
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
