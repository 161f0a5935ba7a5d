//! What is swept out now and then. Every worker does it; a second broom finds nothing.

use std::time::Duration;

use domain::auth::throttle;
use domain::idempotency;
use domain::kernel::{Db, Result};
use domain::orgs::purge;
use tokio_util::sync::CancellationToken;

const PERIOD: Duration = Duration::from_hours(1);
/// The first time, so that a process which restarts often sweeps too, but not while it starts.
const FIRST: Duration = Duration::from_mins(1);

/// Sweeps once an hour until `shutdown`.
pub(crate) async fn run(db: Db, shutdown: CancellationToken) {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = PERIOD;
        sweep(&db).await;
    }
}

/// Deletes answers to repeated requests and counts of failures that are no longer kept, and organisations that can no
/// longer be restored.
pub(crate) async fn sweep(db: &Db) {
    match prune(db).await {
        Ok(rows) => tracing::debug!(rows, "deleted what is no longer kept"),
        Err(error) => tracing::warn!(%error, "cannot delete what is no longer kept"),
    }
    match purge::purge(db).await {
        Ok(orgs) => tracing::debug!(orgs, "removed deleted organisations for good"),
        Err(error) => tracing::warn!(%error, "cannot remove deleted organisations for good"),
    }
}

async fn prune(db: &Db) -> Result<u64> {
    let tx = db.begin_write().await?;
    let deleted = idempotency::prune(&tx).await? + throttle::prune(&tx).await?;
    tx.commit_bookkeeping().await?;
    Ok(deleted)
}
