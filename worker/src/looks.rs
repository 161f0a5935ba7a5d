//! Looks that find out what was missed at Stripe. Every worker has an eye on the time; each look is taken by one of them.

use std::sync::Arc;
use std::time::Duration;

use domain::billing::Billing;
use domain::billing::reconcile::{self, Look};
use domain::jobs::Bell;
use domain::kernel::Db;
use tokio_util::sync::CancellationToken;

/// How often it is seen whether a look is due: one small read.
const PERIOD: Duration = Duration::from_secs(2);

/// Takes looks until `shutdown`. Without a key for Stripe there is nothing to look at.
pub(crate) async fn run(db: Db, bell: Arc<dyn Bell>, billing: Billing, shutdown: CancellationToken) {
    if billing.gateway().is_err() {
        return shutdown.cancelled().await;
    }
    loop {
        let looked = async {
            match reconcile::due_looks(&db).await {
                Ok(due) => {
                    for look in due {
                        take(&db, &*bell, &billing, look).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "cannot see which looks at Stripe are due"),
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = looked => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

async fn take(db: &Db, bell: &dyn Bell, billing: &Billing, look: Look) {
    match reconcile::take(db, billing, look).await {
        Ok(lanes) if lanes.is_empty() => {}
        Ok(lanes) => bell.ring(&lanes).await,
        Err(error) => tracing::warn!(%error, look = look.as_str(), "cannot look at Stripe"),
    }
}
