//! Backups that nobody asks for, and how long backups are kept.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::backup;
use super::plan::Plan;
use crate::access::Origin;
use crate::kernel::id::BackupId;
use crate::kernel::{Backend, Db, Reads, Result, Timestamp, WriteTx};

/// Any number that no other advisory lock of this product uses.
const LOCK: i64 = 0x4241_434b_5550;

#[derive(FromQueryResult)]
struct Newest {
    at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Kept {
    id: BackupId,
    state: String,
    created_at: Timestamp,
    last_verified_at: Option<Timestamp>,
}

/// Several processes look at the clock; one after the other from here to the end of the transaction.
async fn lock(tx: &WriteTx) -> Result<()> {
    match tx.backend() {
        Backend::Sqlite => Ok(()),
        Backend::Postgres => {
            let sql = "SELECT pg_advisory_xact_lock($1)";
            tx.conn().execute_raw(tx.sql(sql, [LOCK.into()])).await?;
            Ok(())
        }
    }
}

/// Whether the last one, whoever asked for it, is old enough for another.
async fn is_due(from: &impl Reads, plan: &Plan) -> Result<bool> {
    let Some(every) = plan.every.filter(|_| plan.why_not().is_none()) else {
        return Ok(false);
    };
    let sql = "SELECT MAX(created_at) AS at FROM backups";
    let newest = Newest::find_by_statement(from.sql(sql, [])).one(from.conn()).await?;
    let newest = newest.and_then(|row| row.at);
    Ok(newest.is_none_or(|at| from.now().since(at) >= every))
}

/// Asks for a backup when it is time. Returns the lanes to ring.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn make_due(db: &Db, plan: &Plan) -> Result<Vec<String>> {
    if !is_due(db, plan).await? {
        return Ok(Vec::new());
    }
    let tx = db.begin_write().await?;
    lock(&tx).await?;
    if !is_due(&tx, plan).await? {
        tx.rollback().await?;
        return Ok(Vec::new());
    }
    backup::add(&tx, &Origin::system(), None).await?;
    tx.commit().await
}

/// Deletes backups that are too many or too old. The newest that was proved stays whatever its age. Returns how many.
///
/// # Errors
/// [`crate::kernel::Error::Db`]. One that cannot be deleted where it is kept is logged, and stays for the next time.
pub async fn let_go(db: &Db, plan: &Plan) -> Result<usize> {
    note_given_up(db).await?;
    let surplus = surplus(db, plan).await?;
    let mut gone = 0;
    for id in surplus {
        // First what takes room: of a backup that nothing knows any more it could never be deleted.
        if let Err(fault) = plan.remove(id).await {
            tracing::warn!(%fault, backup = %id, "a backup that is kept no longer cannot be deleted");
            continue;
        }
        let tx = db.begin_write().await?;
        lock(&tx).await?;
        if backup::find(&tx, id).await?.is_none() {
            tx.rollback().await?;
            continue;
        }
        backup::remove(&tx, &Origin::system(), id).await?;
        tx.commit().await?;
        gone += 1;
    }
    Ok(gone)
}

/// A job that was given up, as after a crash of every worker that tried, leaves its backup or restoration under way.
async fn note_given_up(db: &Db) -> Result<()> {
    let tx = db.begin_write().await?;
    let idle = "NOT EXISTS (SELECT 1 FROM jobs WHERE kind = 'backup' AND state = 0)";
    for sql in [
        format!(
            "UPDATE backups SET state = 'failed', completed_at = $1, problem = 'Its job was given up.'
             WHERE state IN ('pending', 'running') AND created_at <= $1 AND {idle}"
        ),
        format!(
            "UPDATE backups SET restore_state = 'failed'
             WHERE restore_state IN ('pending', 'running') AND created_at <= $1 AND {idle}"
        ),
    ] {
        tx.conn().execute_raw(tx.sql(&sql, [tx.now().into()])).await?;
    }
    tx.commit_bookkeeping().await.map(drop)
}

async fn surplus(db: &Db, plan: &Plan) -> Result<Vec<BackupId>> {
    let sql = "SELECT id, state, created_at, last_verified_at FROM backups
         WHERE state IN ('completed', 'failed') AND (restore_state IS NULL OR restore_state IN ('completed', 'failed'))
         ORDER BY created_at DESC, id DESC";
    let kept = Kept::find_by_statement(db.sql(sql, [])).all(db.conn()).await?;
    let proved = kept.iter().find(|one| one.last_verified_at.is_some()).map(|one| one.id);
    let now = db.now();
    // One that failed takes no good one's place.
    let mut good = 0;
    let is_surplus = |one: &Kept| {
        let too_many = plan.keep.is_some_and(|keep| good >= keep);
        good += u64::from(one.state == "completed");
        let too_old = plan.keep_for.is_some_and(|time| now.since(one.created_at) > time);
        (too_many || too_old) && Some(one.id) != proved
    };
    Ok(kept.into_iter().filter(is_surplus).map(|one| one.id).collect())
}
