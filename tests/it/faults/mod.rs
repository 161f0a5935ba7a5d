//! What must hold when things break: processes killed and paused, Redis wiped, PostgreSQL restarted.

mod canary;
mod cut;
mod edits;
mod hanging;
mod keys;
mod kill;
#[cfg(target_os = "linux")]
mod lanes_clock;
mod lanes_dead;
mod lanes_ordered;
mod lanes_poison;
mod load;
mod postgres;
mod proxy;
mod receivers;
mod recovery;
mod redis;
mod rotation;
mod signing;
mod sqlite;
mod start;
mod watch;
mod worker;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use domain::access::Origin;
use domain::journal::{self, Action, Entry, Target};
use domain::kernel::id::OrgId;
use domain::kernel::{Db, Timestamp};
use harness::Receiver;
use harness::app::number_from_environment;
use harness::processes::{Tenant, number, sql, within};
use harness::receiver::Received;

/// Jobs that are neither done nor given up.
const OPEN_JOBS: &str = "SELECT COUNT(*) FROM jobs WHERE state IN (0, 1)";

/// How long a fault is to last when there is time for it; `None` in CI, where each has a short form. See `just faults`.
fn seconds() -> Option<u64> {
    number_from_environment("STRONGROOM_TEST_FAULT_SECONDS")
}

/// How long each delivery took from its event to its arrival.
fn lags(received: &[Received]) -> Vec<Duration> {
    let lag = |one: &Received| {
        let event = one.json();
        let at = Timestamp::parse(event["timestamp"].as_str().expect("an instant")).expect("an instant");
        one.at.since(at)
    };
    received.iter().map(lag).collect()
}

/// Records so many events of one organisation, `org.updated`, as its changes would: far more than clients could make in
/// the time of a test. Nobody rings for them.
async fn record(db: &Db, org: OrgId, count: usize) {
    let mut left = count;
    while left > 0 {
        let some = left.min(200);
        let tx = db.begin_write().await.expect("open a transaction");
        for _ in 0..some {
            let entry = Entry::in_org(org, Action::OrgUpdated, Target::Org(org)).with("changed", vec!["name"]);
            journal::record(&tx, &Origin::system(), entry)
                .await
                .expect("record an event");
        }
        tx.commit().await.expect("commit");
        left -= some;
    }
}

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
