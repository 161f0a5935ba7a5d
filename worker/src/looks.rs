//! Looks that find out what was missed at Stripe. Every worker has an eye on the time; each look is taken by one of them.

use std::sync::Arc;
use std::time::Duration;

use domain::billing::Billing;
use domain::billing::reconcile;
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
        look(&db, &*bell, &billing, &shutdown).await;
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}

/// Takes the looks that are due, one after the other. One that a shutdown cuts off is given back.
async fn look(db: &Db, bell: &dyn Bell, billing: &Billing, shutdown: &CancellationToken) {
    let due = tokio::select! {
        () = shutdown.cancelled() => return,
        due = reconcile::due_looks(db) => due,
    };
    let due = due.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot see which looks at Stripe are due");
        Vec::new()
    });
    for look in due {
        if shutdown.is_cancelled() {
            return;
        }
        match reconcile::take(db, billing, look, shutdown.cancelled()).await {
            Ok(lanes) if lanes.is_empty() => {}
            Ok(lanes) => bell.ring(&lanes).await,
            Err(error) => tracing::warn!(%error, look = look.as_str(), "cannot look at Stripe"),
        }
    }
}
