//! Removing deleted organisations for good, once they can no longer be restored.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::organisation::RESTORE_WINDOW;
use crate::access::Origin;
use crate::auth;
use crate::billing::{customer, subscription};
use crate::crypto::key_store;
use crate::jobs;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Reads, Result, WriteTx};
use crate::mail;

#[derive(FromQueryResult)]
struct Overdue {
    id: OrgId,
}

/// Removes every organisation whose time to be restored is over, each in a transaction of its own; returns how many.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn purge(db: &Db) -> Result<u64> {
    let sql = "SELECT id FROM orgs WHERE deleted_at < $1 ORDER BY deleted_at";
    let before = db.now() - RESTORE_WINDOW;
    let overdue = Overdue::find_by_statement(db.sql(sql, [before.into()]));
    let mut purged = 0;
    for Overdue { id } in overdue.all(db.conn()).await? {
        let tx = db.begin_write().await?;
        if !subscription::is_settled(&tx, id).await? {
            tracing::warn!(org = %id, "a deleted organisation is still charged for: it stays until its subscription has ended");
            customer::ask_again(&tx, id).await?;
            tx.commit_bookkeeping().await?;
            continue;
        }
        if remove(&tx, id).await? {
            tx.commit().await?;
            purged += 1;
        } else {
            tx.rollback().await?;
        }
    }
    Ok(purged)
}

/// The row and, by its foreign keys, all that lies in it; then what no foreign key reaches. The journal stays: it is
/// the record of what was there. Returns whether it was still there to remove.
async fn remove(tx: &WriteTx, org: OrgId) -> Result<bool> {
    key_store::destroy_of_org(tx, org).await?;
    auth::token::delete_of_org(tx, org).await?;
    mail::delete_of_org(tx, org).await?;
    jobs::delete_of_org(tx, org).await?;
    let sql = "DELETE FROM orgs WHERE id = $1 AND deleted_at < $2";
    let before = tx.now() - RESTORE_WINDOW;
    let removed = tx.conn().execute_raw(tx.sql(sql, [org.into(), before.into()])).await?;
    if removed.rows_affected() == 0 {
        return Ok(false);
    }
    journal::record(
        tx,
        &Origin::system(),
        Entry::in_org(org, Action::OrgPurged, Target::Org(org)),
    )
    .await?;
    Ok(true)
}
