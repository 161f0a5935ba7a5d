//! What a worker does: makes backups and proves them, restores them beside the live database, and lets old ones go.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, Value};

use super::backup::{self, State};
use super::check::check;
use super::fault::Fault;
use super::file::{Header, Sizes};
use super::load::load;
use super::make::{Progress, make};
use super::plan::Plan;
use super::settle::Tokens;
use super::target::{self, Target};
use crate::crypto::key_store::KeyStore;
use crate::kernel::id::BackupId;
use crate::kernel::{Db, Reads, Result};

/// What came of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// The backup was deleted.
    Gone,
}

/// What a worker works with.
pub struct Desk<'a> {
    pub db: &'a Db,
    pub keys: &'a KeyStore,
    pub plan: &'a Plan,
    pub progress: &'a Progress,
}

impl Desk<'_> {
    /// Makes a backup and proves it by restoring it. A backup that is made already is proved only.
    ///
    /// # Errors
    /// [`Fault`]; the backup is as far as it came.
    pub async fn make(&self, id: BackupId) -> Result<Ended, Fault> {
        let Some(found) = backup::find(self.db, id).await? else {
            return Ok(Ended::Gone);
        };
        if found.state != State::Completed {
            let sql = "UPDATE backups SET state = 'running', started_at = $2, problem = NULL WHERE id = $1";
            note(self.db, sql, [id.into(), self.db.now().into()]).await?;
            self.plan.make_folder()?;
            let keys = Arc::new(self.plan.keyring(self.db.rng())?);
            let (header, sizes) = make(self.db, keys, &self.plan.destination(id), id, self.progress).await?;
            self.note_made(id, &header, &sizes).await?;
        } else if found.last_verified_at.is_some() {
            return Ok(Ended::Done);
        }
        self.prove(id).await?;
        Ok(Ended::Done)
    }

    async fn note_made(&self, id: BackupId, header: &Header, sizes: &Sizes) -> Result<()> {
        let sql =
            "UPDATE backups SET state = 'completed', completed_at = $2, size_bytes = $3, sha256 = $4, key_id = $5,
                rows_done = $6, rows_total = $6 WHERE id = $1";
        let values = [
            id.into(),
            self.db.now().into(),
            i64::try_from(sizes.size).unwrap_or(i64::MAX).into(),
            sizes.sha256.to_vec().into(),
            header.key_id.as_str().into(),
            i64::try_from(header.rows()).unwrap_or(i64::MAX).into(),
        ];
        note(self.db, sql, values).await
    }

    /// Restores a backup into a database of its own, looks at everything, and throws it away.
    async fn prove(&self, id: BackupId) -> Result<(), Fault> {
        let scratch = target::scratch(self.plan, self.db, id).await?;
        let outcome = self.fill(id, &scratch).await;
        let discarded = scratch.discard(self.db).await;
        outcome?;
        discarded?;
        let sql = "UPDATE backups SET last_verified_at = $2, problem = NULL WHERE id = $1";
        note(self.db, sql, [id.into(), self.db.now().into()]).await?;
        Ok(())
    }

    async fn fill(&self, id: BackupId, into: &Target) -> Result<(), Fault> {
        let keys = Arc::new(self.plan.keyring(self.db.rng())?);
        let restored = load(&self.plan.location(id), keys, &into.db, Tokens::Keep, self.progress).await?;
        let checked = check(&into.db, &restored.header, self.keys).await?;
        tracing::info!(backup = %id, ?checked, "a backup was restored and is whole");
        Ok(())
    }

    /// Restores a backup into a database beside the live one.
    ///
    /// # Errors
    /// [`Fault`]; nothing is left of it.
    pub async fn restore(&self, id: BackupId) -> Result<Ended, Fault> {
        let Some(found) = backup::find(self.db, id).await? else {
            return Ok(Ended::Gone);
        };
        let Some(restoration) = found.restoration.filter(|one| one.state != State::Completed) else {
            return Ok(Ended::Done);
        };
        if let Some(name) = restoration.database
            && target::is_there(self.plan, self.db, &name).await?
        {
            // A worker got as far as giving it its name, and died before it could tell.
            return self.note_restored(id, name).await;
        }
        let sql = "UPDATE backups SET restore_state = 'running', restore_database = NULL WHERE id = $1";
        note(self.db, sql, [id.into()]).await?;
        let staging = target::stage(self.plan, self.db, id).await?;
        if let Err(fault) = self.fill(id, &staging.target).await {
            staging.target.discard(self.db).await?;
            return Err(fault);
        }
        // Nothing of that name is there: whoever finds it from now on knows that it is this one.
        let announced = "UPDATE backups SET restore_database = $2 WHERE id = $1";
        note(self.db, announced, [id.into(), staging.name().into()]).await?;
        let name = staging.finish(self.db).await?;
        self.note_restored(id, name).await
    }

    async fn note_restored(&self, id: BackupId, name: String) -> Result<Ended, Fault> {
        let sql = "UPDATE backups SET restore_state = 'completed', restore_database = $2, restored_at = $3,
                restore_problem = NULL, last_verified_at = $3 WHERE id = $1";
        note(self.db, sql, [id.into(), name.into(), self.db.now().into()]).await?;
        Ok(Ended::Done)
    }
}

/// Writes down what is nobody's event.
async fn note(db: &Db, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<()> {
    let tx = db.begin_write().await?;
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}

/// Writes down how far it has come.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn note_progress(db: &Db, id: BackupId, progress: &Progress) -> Result<()> {
    let sql = "UPDATE backups SET rows_done = $2, rows_total = $3 WHERE id = $1 AND state = 'running'";
    let number = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    let total = Some(progress.total()).filter(|total| *total > 0).map(number);
    note(db, sql, [id.into(), number(progress.done()).into(), total.into()]).await
}

/// Writes down why a backup was not made or not proved; whether it is tried again.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn note_fault(db: &Db, id: BackupId, fault: &Fault, is_last: bool) -> Result<()> {
    // One that is made stays made.
    let sql = if is_last {
        "UPDATE backups SET problem = $2, completed_at = COALESCE(completed_at, $3),
            state = CASE WHEN state = 'completed' THEN state ELSE 'failed' END WHERE id = $1"
    } else {
        "UPDATE backups SET problem = $2, started_at = COALESCE(started_at, $3) WHERE id = $1"
    };
    note(db, sql, [id.into(), fault.to_string().into(), db.now().into()]).await
}

/// Writes down why a backup was not restored.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn note_restore_fault(db: &Db, id: BackupId, fault: &Fault, is_last: bool) -> Result<()> {
    let sql = "UPDATE backups SET restore_problem = $2, restore_state = $3, restored_at = $4 WHERE id = $1";
    let state = if is_last { State::Failed } else { State::Pending };
    let values = [
        id.into(),
        fault.to_string().into(),
        state.as_str().into(),
        db.now().into(),
    ];
    note(db, sql, values).await
}
