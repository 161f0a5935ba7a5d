//! Backups as they stand in the database: asked for, listed, deleted.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ConnectionTrait, EntityTrait, PaginatorTrait, QueryOrder, QuerySelect,
};

use super::entity::backup;
use super::make::kind_of;
use super::plan::Plan;
use crate::access::grant::require_recent_sign_in;
use crate::access::{Origin, Superuser};
use crate::jobs::{self, Cause, Job, NewJob};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{BackupId, UserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// All of them go in one lane.
const LANE: &str = "instance";

/// How a backup stands, or its restoration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Running,
    Completed,
    Failed,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        [Self::Pending, Self::Running, Self::Completed, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::internal("the state of a backup is stored wrongly"))
    }
}

/// The last restoration of a backup into a database beside the live one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restoration {
    pub state: State,
    /// Path or name of the database; before it is completed, of what it is about to be.
    pub database: Option<String>,
    pub at: Option<Timestamp>,
    pub problem: Option<String>,
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    pub id: BackupId,
    pub state: State,
    /// `requested` or `scheduled`.
    pub cause: String,
    pub requested_by: Option<UserId>,
    /// `sqlite` or `postgres`.
    pub source: String,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub rows_done: i64,
    pub rows_total: Option<i64>,
    /// Bytes.
    pub size: Option<i64>,
    pub sha256: Option<Vec<u8>>,
    /// The backup key that it needs.
    pub key_id: Option<String>,
    /// When it was last restored and found whole.
    pub last_verified_at: Option<Timestamp>,
    /// Why it failed, or is not verified.
    pub problem: Option<String>,
    pub restoration: Option<Restoration>,
}

impl TryFrom<backup::Model> for Backup {
    type Error = Error;

    fn try_from(row: backup::Model) -> Result<Self> {
        let backup::Model {
            id,
            state,
            cause,
            requested_by,
            source,
            created_at,
            started_at,
            completed_at,
            rows_done,
            rows_total,
            size_bytes,
            sha256,
            key_id,
            last_verified_at,
            problem,
            restore_state,
            restore_database,
            restored_at,
            restore_problem,
        } = row;
        let restoration = restore_state.map(|state| -> Result<Restoration> {
            Ok(Restoration {
                state: State::parse(&state)?,
                database: restore_database,
                at: restored_at,
                problem: restore_problem,
            })
        });
        Ok(Self {
            id,
            state: State::parse(&state)?,
            cause,
            requested_by,
            source,
            created_at,
            started_at,
            completed_at,
            rows_done,
            rows_total,
            size: size_bytes,
            sha256,
            key_id,
            last_verified_at,
            problem,
            restoration: restoration.transpose()?,
        })
    }
}

/// Asks for a backup, which a worker makes.
///
/// # Errors
/// `conflict` where there is no backup key.
pub async fn request(tx: &WriteTx, superuser: &Superuser, plan: &Plan) -> Result<Backup> {
    if let Some(why) = plan.why_not() {
        return Err(Problem::new(ProblemCode::Conflict, why).into());
    }
    add(tx, superuser.origin(), Some(superuser.user())).await
}

/// A new backup with its job and its event; by whom, if anybody asked for it.
pub(super) async fn add(tx: &WriteTx, origin: &Origin, by: Option<UserId>) -> Result<Backup> {
    let id: BackupId = tx.new_id()?;
    let cause = if by.is_some() { "requested" } else { "scheduled" };
    let row = backup::ActiveModel {
        id: Set(id),
        state: Set(State::Pending.as_str().to_owned()),
        cause: Set(cause.to_owned()),
        requested_by: Set(by),
        source: Set(kind_of(tx.backend()).to_owned()),
        created_at: Set(tx.now()),
        started_at: Set(None),
        completed_at: Set(None),
        rows_done: Set(0),
        rows_total: Set(None),
        size_bytes: Set(None),
        sha256: Set(None),
        key_id: Set(None),
        last_verified_at: Set(None),
        problem: Set(None),
        restore_state: Set(None),
        restore_database: Set(None),
        restored_at: Set(None),
        restore_problem: Set(None),
    };
    let row = row.insert(tx.conn()).await?;
    emit(tx, Job::MakeBackupV1 { backup_id: id }, id.0.simple().to_string()).await?;
    let entry = Entry::of_instance(Action::BackupRequested, Target::Backup(id)).with("cause", cause);
    journal::record(tx, origin, entry).await?;
    row.try_into()
}

async fn emit(tx: &WriteTx, job: Job, idempotency_key: String) -> Result<()> {
    let job = NewJob {
        job,
        lane: LANE.to_owned(),
        org_id: None,
        webhook_id: None,
        event_id: None,
        cause: Cause::Event,
        idempotency_key,
    };
    jobs::emit(tx, vec![job]).await?;
    Ok(())
}

/// All of them, newest first.
///
/// # Errors
/// [`Error::Db`].
pub async fn list(from: &impl Reads, _: &Superuser, page: PageRequest) -> Result<Page<Backup>> {
    let total = backup::Entity::find().count(from.conn()).await?;
    let rows = backup::Entity::find()
        .order_by_desc(backup::Column::CreatedAt)
        .order_by_desc(backup::Column::Id)
        .limit(page.limit)
        .offset(page.offset)
        .all(from.conn())
        .await?;
    let found = Page {
        data: rows,
        request: page,
        total,
    };
    found.try_map(Backup::try_from)
}

/// One of them.
///
/// # Errors
/// `not_found`.
pub async fn get(from: &impl Reads, _: &Superuser, id: &str) -> Result<Backup> {
    load(from, parsed(id)?).await
}

fn parsed(id: &str) -> Result<BackupId> {
    Ok(id.parse().map_err(|_| Problem::not_found())?)
}

async fn load(from: &impl Reads, id: BackupId) -> Result<Backup> {
    find(from, id).await?.ok_or_else(|| Problem::not_found().into())
}

pub(super) async fn find(from: &impl Reads, id: BackupId) -> Result<Option<Backup>> {
    let found = backup::Entity::find_by_id(id).one(from.conn()).await?;
    found.map(Backup::try_from).transpose()
}

/// Deletes a backup. Its file goes after the commit, see [`Plan::remove`].
///
/// # Errors
/// `not_found`; `step_up_required`; `conflict` while it is being made or restored.
pub async fn delete(tx: &WriteTx, superuser: &Superuser, id: &str) -> Result<BackupId> {
    let id = parsed(id)?;
    require_recent_sign_in(tx, superuser.caller())?;
    let found = load(tx, id).await?;
    let is_busy = |state: State| matches!(state, State::Pending | State::Running);
    if is_busy(found.state) || found.restoration.is_some_and(|restoration| is_busy(restoration.state)) {
        let detail = "It is being made or restored. Wait until that has ended.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    remove(tx, superuser.origin(), id).await?;
    Ok(id)
}

/// Forgets a backup.
pub(super) async fn remove(tx: &WriteTx, origin: &Origin, id: BackupId) -> Result<()> {
    backup::Entity::delete_by_id(id).exec(tx.conn()).await?;
    let entry = Entry::of_instance(Action::BackupDeleted, Target::Backup(id));
    journal::record(tx, origin, entry).await?;
    Ok(())
}

/// Asks for a backup to be restored into a database beside the live one.
///
/// # Errors
/// `not_found`; `step_up_required`; `conflict` unless there is a file, and while it is being restored already.
pub async fn restore(tx: &WriteTx, superuser: &Superuser, id: &str) -> Result<Backup> {
    let id = parsed(id)?;
    require_recent_sign_in(tx, superuser.caller())?;
    let found = load(tx, id).await?;
    if found.state != State::Completed {
        let detail = "There is no file of it: only a backup that is completed can be restored.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    // One statement decides between two who ask at once.
    let sql = "UPDATE backups SET restore_state = 'pending', restore_database = NULL, restored_at = NULL, restore_problem = NULL
            WHERE id = $1 AND (restore_state IS NULL OR restore_state IN ('completed', 'failed'))";
    let begun = tx.conn().execute_raw(tx.sql(sql, [id.into()])).await?;
    if begun.rows_affected() == 0 {
        let detail = "It is being restored already.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let key = format!("{}:{}", id.0.simple(), tx.rng().uuid(tx.now())?.simple());
    emit(tx, Job::RestoreBackupV1 { backup_id: id }, key).await?;
    let entry = Entry::of_instance(Action::BackupRestoreRequested, Target::Backup(id));
    journal::record(tx, superuser.origin(), entry).await?;
    load(tx, id).await
}
