//! What must not come to life again with a restored database. It is of an earlier moment: sessions that were ended since
//! would work again, refresh tokens that were exchanged since would look stolen, and one-time codes could be used twice.
//! So every session and every open code ends. Tokens and keys of service accounts go on, or a move to another database
//! would break everything that runs on them; those that were revoked since work again, unless all of them are ended too.

use sea_orm::{ConnectionTrait, Value};

use super::load::Restored;
use crate::kernel::{Reads, Result, Timestamp, WriteTx};

/// What becomes of personal tokens and of keys of service accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// They work as they did when the backup was made.
    Keep,
    /// All of them are revoked.
    End,
}

/// Codes and half-finished sign-ins: what is of one use has had it.
pub(super) const EMPTIED: [&str; 3] = ["oauth_codes", "oauth_devices", "sso_attempts"];

/// The same for the same backup, wherever it is restored: the instant of the backup stands in all that ends.
pub(super) async fn settle(tx: &WriteTx, restored: &Restored, tokens: Tokens) -> Result<()> {
    let Restored { header, sizes } = restored;
    let at = Timestamp::parse(&header.created_at).unwrap_or_else(|_| tx.now());
    let ended = match tokens {
        Tokens::Keep => {
            "UPDATE credentials SET revoked_at = $1 WHERE revoked_at IS NULL AND kind IN
                ('session', 'refresh', 'oauth_access', 'oauth_refresh', 'service_token', 'realm_access', 'realm_refresh')"
        }
        Tokens::End => "UPDATE credentials SET revoked_at = $1 WHERE revoked_at IS NULL",
    };
    // A backup was being made: this very one, and perhaps another, whose file nobody knows.
    let own = "UPDATE backups SET state = 'completed', completed_at = $1, size_bytes = $3, sha256 = $4, key_id = $5,
            rows_done = $6, rows_total = $6 WHERE id = $2 AND state <> 'completed'";
    let others = "UPDATE backups SET state = 'failed', completed_at = $1, problem = 'It was being made when the backup was made that this database was restored from.'
            WHERE state IN ('pending', 'running')";
    let stages = "UPDATE backups SET restore_state = NULL, restore_database = NULL
            WHERE restore_state IN ('pending', 'running')";
    let rows = i64::try_from(header.rows()).unwrap_or(i64::MAX);
    let size = i64::try_from(sizes.size).unwrap_or(i64::MAX);
    let own_values = [
        at.into(),
        header.id.into(),
        size.into(),
        sizes.sha256.to_vec().into(),
        header.key_id.as_str().into(),
        rows.into(),
    ];
    run(tx, ended, [at.into()]).await?;
    run(
        tx,
        "UPDATE challenges SET consumed_at = $1 WHERE consumed_at IS NULL",
        [at.into()],
    )
    .await?;
    for table in EMPTIED {
        run(tx, &format!("DELETE FROM {table}"), []).await?;
    }
    // In older schemas a job that ran was of state 1. Leases that are left end by themselves.
    let jobs = "UPDATE jobs SET state = 4, done_at = $1 WHERE kind = 'backup' AND state IN (0, 1)";
    run(tx, jobs, [at.into()]).await?;
    run(tx, own, own_values).await?;
    run(tx, others, [at.into()]).await?;
    run(tx, stages, []).await
}

async fn run(tx: &WriteTx, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<()> {
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}
