//! Looks at the clock: is it time for a backup, and which are kept no longer? Every worker looks; one of them acts.

use std::sync::Arc;
use std::time::Duration;

use domain::backups::{self, Plan};
use domain::jobs::Bell;
use domain::kernel::Db;
use tokio_util::sync::CancellationToken;

/// Well below the hour that backups are set in.
const PERIOD: Duration = Duration::from_mins(5);
/// The first time, so that a process which restarts often looks too, but not while it starts.
const FIRST: Duration = Duration::from_mins(1);

/// Looks every few minutes until `shutdown`.
pub(crate) async fn run(db: Db, plan: Arc<Plan>, bell: Arc<dyn Bell>, shutdown: CancellationToken) {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = PERIOD;
        if let Some(problem) = plan.health().await.problem {
            tracing::warn!(%problem, "backups cannot be kept where they should be");
        }
        match backups::make_due(&db, &plan).await {
            Ok(lanes) if lanes.is_empty() => {}
            Ok(lanes) => bell.ring(&lanes).await,
            Err(error) => tracing::warn!(%error, "cannot ask for the backup that is due"),
        }
        match backups::let_go(&db, &plan).await {
            Ok(count) => tracing::debug!(count, "deleted backups that are kept no longer"),
            Err(error) => tracing::warn!(%error, "cannot delete backups that are kept no longer"),
        }
    }
}
