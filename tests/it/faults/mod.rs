//! What must hold when things break: processes killed and paused, Redis wiped, PostgreSQL restarted.

mod backup;
mod canary;
mod cut;
mod keys;
mod kill;
mod load;
mod postgres;
mod receivers;
mod redis;
mod rotation;
mod start;
mod watch;
mod worker;

use harness::Receiver;
use harness::processes::{Tenant, number, sql, within};

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use domain::kernel::Db;

/// Jobs that are neither done nor given up.
const OPEN_JOBS: &str = "SELECT COUNT(*) FROM jobs WHERE state IN (0, 1)";

/// Waits until every job has ended. Leases of workers that were killed end now and not after a minute.
async fn jobs_end(db: &Db, time: Duration) {
    sql(db, "UPDATE jobs SET lease_until = 0 WHERE state = 1").await;
    within(time, "every job ends", || async { number(db, OPEN_JOBS).await == 0 }).await;
    let failed = number(db, "SELECT COUNT(*) FROM jobs WHERE state IN (3, 4)").await;
    assert_eq!(failed, 0, "no job is given up");
}

/// Asserts that what arrived is what the journal owes: each event at least once, nothing else, and what arrived twice
/// under the same id is the same. Returns how many came more than once.
async fn assert_delivered(receiver: &Receiver, tenant: &Tenant, db: &Db) -> usize {
    let owed: BTreeSet<String> = tenant.owed(db).await.into_iter().collect();
    let mut bodies = HashMap::new();
    let mut repeated = 0;
    for one in receiver.received() {
        let id = one.header("webhook-id").to_owned();
        assert_eq!(one.json()["id"], id.as_str());
        assert!(one.is_signed_with(&tenant.signing_secret));
        if let Some(first) = bodies.insert(id, one.body.clone()) {
            assert_eq!(first, one.body, "the same event has the same bytes");
            repeated += 1;
        }
    }
    let arrived: BTreeSet<String> = bodies.into_keys().collect();
    assert_eq!(arrived.difference(&owed).count(), 0, "nothing that was not committed");
    assert_eq!(owed.difference(&arrived).count(), 0, "everything that was committed");
    repeated
}
