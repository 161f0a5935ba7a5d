//! What is swept out now and then. Every worker does it; a second broom finds nothing.

use std::sync::Arc;
use std::time::Duration;

use domain::auth::{realm_token, throttle};
use domain::billing::inbox;
use domain::crypto::key_store::KeyStore;
use domain::idempotency;
use domain::kernel::{Db, Reads, Result};
use domain::limits::{freeze, recount, warnings};
use domain::oauth;
use domain::orgs::{audit, purge};
use domain::request_metrics;
use domain::secrets::{retention, rotation};
use domain::service_accounts::trade;
use domain::signing;
use domain::sso;
use tokio_util::sync::CancellationToken;

const PERIOD: Duration = Duration::from_hours(1);
/// The hour in which old events are removed and counters are held against what is there, UTC.
const NIGHT: i64 = 2;
/// The first time, so that a process which restarts often sweeps too, but not while it starts.
const FIRST: Duration = Duration::from_mins(1);

/// Looks after the keys at once, so that whoever exchanges the root key need not wait; sweeps once an hour until
/// `shutdown`.
pub(crate) async fn run(db: Db, keys: Arc<KeyStore>, shutdown: CancellationToken) {
    rewrap(&db, &keys).await;
    let mut pause = FIRST;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = PERIOD;
        // Again: a process that was started with the old root key in front may have made keys meanwhile.
        rewrap(&db, &keys).await;
        sweep(&db, &keys).await;
        keep_limits(&db).await;
    }
}

/// Wraps what other root keys wrap with the primary one, so that they can be removed.
async fn rewrap(db: &Db, keys: &KeyStore) {
    match keys.rewrap(db).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(keys = count, "wrapped keys anew with the primary root key"),
        Err(error) => tracing::warn!(%error, "cannot wrap keys with the primary root key"),
    }
}

/// Deletes answers to repeated requests, counts of failures and ended tokens that are no longer kept, and organisations
/// that can no longer be restored; lets the keys that sign tokens take turns; replaces data keys that have sealed enough, and takes up again what replacing keys left undone.
pub(crate) async fn sweep(db: &Db, keys: &KeyStore) {
    match prune(db).await {
        Ok(rows) => tracing::debug!(rows, "deleted what is no longer kept"),
        Err(error) => tracing::warn!(%error, "cannot delete what is no longer kept"),
    }
    match purge::purge(db).await {
        Ok(orgs) => tracing::debug!(orgs, "removed deleted organisations for good"),
        Err(error) => tracing::warn!(%error, "cannot remove deleted organisations for good"),
    }
    match signing::tend(db, keys).await {
        Ok(steps) => tracing::debug!(steps, "looked after the keys that sign tokens"),
        Err(error) => tracing::warn!(%error, "cannot look after the keys that sign tokens"),
    }
    match rotation::rotate_overdue(db, keys).await {
        Ok(keys) => tracing::debug!(keys, "replaced keys that had sealed enough"),
        Err(error) => tracing::warn!(%error, "cannot replace keys that have sealed enough"),
    }
    match rotation::resume(db).await {
        Ok(projects) => tracing::debug!(projects, "took up the retirement of keys again"),
        Err(error) => tracing::warn!(%error, "cannot take up the retirement of keys again"),
    }
}

/// Tells who comes near a limit, freezes what has been too much for long, and destroys old versions that plans do not
/// keep; at night it removes events that plans do not keep, and holds the counters against what is there.
pub(crate) async fn keep_limits(db: &Db) {
    match warnings::sweep(db).await {
        Ok(notices) => tracing::debug!(notices, "told of limits that are near or reached"),
        Err(error) => tracing::warn!(%error, "cannot tell of limits that are near or reached"),
    }
    match freeze::sweep(db).await {
        Ok(orgs) => tracing::debug!(orgs, "froze or released projects"),
        Err(error) => tracing::warn!(%error, "cannot look at who has more than their plan allows"),
    }
    match retention::prune(db).await {
        Ok(versions) => tracing::debug!(versions, "destroyed versions that plans do not keep"),
        Err(error) => tracing::warn!(%error, "cannot destroy versions that plans do not keep"),
    }
    if hour(db) != NIGHT {
        return;
    }
    match audit::prune(db).await {
        Ok(events) => tracing::debug!(events, "removed events that plans do not keep"),
        Err(error) => tracing::warn!(%error, "cannot remove events that plans do not keep"),
    }
    match recount::run(db).await {
        Ok(drifts) => tracing::debug!(counters = drifts.len(), "put counters right"),
        Err(error) => tracing::warn!(%error, "cannot hold the counters against what is there"),
    }
}

/// The hour of the day, UTC.
fn hour(db: &Db) -> i64 {
    db.now().secs().div_euclid(3600).rem_euclid(24)
}

async fn prune(db: &Db) -> Result<u64> {
    let tx = db.begin_write().await?;
    let deleted = idempotency::prune(&tx).await?
        + throttle::prune(&tx).await?
        + request_metrics::prune(&tx).await?
        + inbox::prune(&tx).await?
        + oauth::prune(&tx).await?
        + realm_token::prune(&tx).await?
        + sso::prune(&tx).await?
        + trade::prune(&tx).await?;
    tx.commit_bookkeeping().await?;
    Ok(deleted)
}
