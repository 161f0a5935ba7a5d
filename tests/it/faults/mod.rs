//! What must hold when things break: processes killed and paused, Redis wiped, PostgreSQL restarted, disks full. Each
//! fault has a short form for CI; `just faults` makes them longer. Modules of this one are named without their path.
//!
//! | | Fault | Proven by |
//! |---|---|---|
//! | F1 | Redis wiped five times a second | `redis::wiped_five_times_a_second_it_loses_no_event` |
//! | F2 | Redis away for long, started empty | `redis::{away_for_long_it_costs_writes_nothing_that_is_felt, stopped_it_costs_a_second_and_no_write}` |
//! | F3 | Redis answers nobody | `redis::frozen_it_holds_up_no_write_and_no_reader_afterwards` |
//! | F4 | API killed | `kill::*` |
//! | F5 | worker killed | `kill::*`, without Redis too |
//! | F6 | worker frozen beyond its lease | `worker::a_worker_frozen_beyond_its_lease_changes_nothing_when_it_thaws` |
//! | F7 | SIGTERM under load | `worker::{workers_asked_to_stop_under_load_finish_and_repeat_nothing, an_embedded_worker_asked_to_stop_under_load_repeats_nothing}`; of the API and a worker beside two hundred clients: `drain::*` |
//! | F8 | four workers and sweepers, rings in plenty | `worker::four_workers_and_rings_in_plenty_attempt_each_job_once` |
//! | F9 | PostgreSQL restarted, connections cut, failed over, made read-only | `postgres::*`, `failover::*` |
//! | F10 | answer lost, request repeated | `cut::{a_change_whose_answer_was_lost_…, of_simultaneous_repetitions_…}` |
//! | F11 | receivers that hang, drip, never end | `receivers::*` |
//! | F12 | one dead endpoint with a backlog | `lanes_dead::a_dead_endpoint_…`; its breaker: `lanes_breaker::*`; its rate: `lanes_rate::*`; endpoints that are slow: `lanes_slow::*` |
//! | F13 | an organisation whose endpoints all hang | `lanes_dead::an_organisation_…` |
//! | F14 | poison | `lanes_poison::*`; broken payloads and panics: `worker::tests::faults` |
//! | F15 | clocks turned | `lanes_clock::*` |
//! | F16 | secrets rotated under load | `signing::*`, `crate::webhooks::{rotation, libraries}` |
//! | F17 | endpoint moved, switched off, deleted under load | `edits::*`; between claim and run: `worker::tests::delivery` |
//! | F18 | requests to the inside | `proxy::*`, `crate::webhooks::egress`, `domain::egress::tests` |
//! | F19 | recovery killed | `recovery::*`; at every step: `worker::tests::recovery` |
//! | F20 | feed read while many write, ponder and give up | `crate::webhooks::feed::a_thousand_events_of_many_writers_…` |
//! | F21 | ordered endpoint whose first event fails | `lanes_ordered::*` |
//! | F22 | events of Stripe: repeated, disordered, forged, late, and processes killed | `stripe::*`; in every order: `crate::billing::any_delivery`; every forgery: `crate::billing::signatures` |
//! | F23 | mail servers that are busy, greylist, refuse, forget, hang | `worker::tests::mail` |
//! | F24 | canaries | `canary::*` |
//! | F25 | database locked for long, disk full | `sqlite::*`, `disk_full::*`, `domain::kernel::pool::tests` |
//! | F26 | a change given up after it asked for a delivery | `cut::a_change_that_is_given_up_…` |
//! | | sign-ins and reads at ten times the limits | `flood::*` for those beside it; where it is refused: `crate::rates::flood`, `rates::*` |

mod backup;
mod bare;
mod canary;
mod cut;
#[cfg(target_os = "linux")]
mod disk_full;
mod drain;
mod edits;
mod failover;
mod flood;
mod hanging;
mod keys;
mod kill;
mod lanes_breaker;
#[cfg(target_os = "linux")]
mod lanes_clock;
mod lanes_dead;
mod lanes_ordered;
mod lanes_poison;
mod lanes_rate;
mod lanes_slow;
mod limits;
mod load;
mod postgres;
mod proxy;
mod rates;
mod receivers;
mod recovery;
mod redis;
mod rotation;
mod signing;
mod sqlite;
mod start;
mod stripe;
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
const OPEN_JOBS: &str = "SELECT COUNT(*) FROM jobs WHERE state = 0";

/// How long a fault is to last when there is time for it; `None` in CI, where each has a short form. See `just faults`.
fn seconds() -> Option<u64> {
    number_from_environment("STRONGROOM_TEST_FAULT_SECONDS")
}

/// How long a test of very many events may take.
fn limit() -> Duration {
    Duration::from_mins(if seconds().is_some() { 40 } else { 10 })
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

/// Ends all leases now and not after a minute. Of a worker that lives this takes what it is doing, and it is done twice.
async fn leases_end(db: &Db) {
    sql(db, "UPDATE job_leases SET lease_until = 0").await;
}

/// Waits until every job has ended. Leases of workers that were killed end now and not after a minute.
async fn jobs_end(db: &Db, time: Duration) {
    leases_end(db).await;
    all_done(db, time).await;
}

/// Waits until every job has ended, and was not given up.
async fn all_done(db: &Db, time: Duration) {
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
