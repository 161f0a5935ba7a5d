//! Clocks that are set an hour forward and back: no lease ends early, and nothing falls due late.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::kernel::Db;
use harness::processes::{self, Installation, Tenant, number, within};
use harness::wrong_clock::WrongClock;
use harness::{Receiver, app};
use serde_json::json;

/// The processes look at the offset once a second, and sweep once a second.
const SEEN: Duration = Duration::from_millis(3500);
/// What a delivery takes to this receiver: clocks are turned meanwhile.
const SLOW: Duration = Duration::from_secs(6);

async fn write(tenant: &Tenant, name: &str, count: usize) {
    for n in 0..count {
        let put = json!({ "value": format!("value {n}") });
        tenant.client.put(&format!("{}{name}", tenant.secrets), put).await.ok();
    }
}

/// Asserts that everything owed arrives soon, once, and that no worker was taken for lost.
async fn assert_unmoved(tenant: &Tenant, receiver: &Receiver, db: &Db) {
    let owed: BTreeSet<String> = tenant.owed(db).await.into_iter().collect();
    within(Duration::from_secs(20), "everything arrives", || async {
        receiver.received().len() >= owed.len()
    })
    .await;
    within(Duration::from_secs(10), "every job ends", || async {
        number(db, super::OPEN_JOBS).await == 0
    })
    .await;
    let arrived: Vec<String> = receiver
        .received()
        .iter()
        .map(|one| one.header("webhook-id").to_owned())
        .collect();
    assert_eq!(arrived.len(), owed.len(), "nothing comes twice");
    assert_eq!(arrived.into_iter().collect::<BTreeSet<_>>(), owed);
    let odd = "SELECT COUNT(*) FROM job_attempts WHERE outcome IN ('worker_lost', 'stale')";
    assert_eq!(number(db, odd).await, 0, "no lease ended early");
}

/// Asserts that what workers date with their wrong clocks is dated right: receivers refuse what is minutes old, or to come.
fn assert_dated_right(tenant: &Tenant, receiver: &Receiver) {
    let requests = receiver.received();
    assert!(!requests.is_empty());
    for one in requests {
        assert!(
            one.is_signed_with(&tenant.signing_secret),
            "dated {}, and it is {:?}",
            one.header("webhook-timestamp"),
            one.at
        );
    }
}

/// Turns the clock while deliveries are under way, and writes by the new time.
async fn turn_and_write(clock: &WrongClock, tenant: &Tenant, receiver: &Receiver, db: &Db) {
    for (offset, name) in [("+1h", "FORWARD"), ("-1h", "BACK"), ("+0", "RIGHT")] {
        receiver.answer(204, SLOW);
        write(tenant, &format!("BEFORE_{name}"), 3).await;
        within(Duration::from_secs(10), "they are under way", || async {
            number(db, "SELECT COUNT(*) FROM job_leases").await > 0
        })
        .await;
        clock.turn(offset);
        tokio::time::sleep(SEEN).await;
        receiver.answer(204, Duration::ZERO);
        write(tenant, name, 10).await;
        assert_unmoved(tenant, receiver, db).await;
    }
}

#[test]
fn the_clock_of_an_embedded_server_is_turned() {
    processes::run(async {
        let clock = WrongClock::new();
        let installation = clock.on(&Installation::embedded());
        let api = installation.api().await;
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        turn_and_write(&clock, &tenant, &receiver, &installation.db().await).await;
    });
}

#[test]
fn the_clock_of_one_of_two_workers_is_turned() {
    processes::run(async {
        let clock = WrongClock::new();
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        let wrong = clock.on(&installation);
        let (api, _right, _wrong) = tokio::join!(installation.api(), installation.worker(), wrong.worker());
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        turn_and_write(&clock, &tenant, &receiver, &installation.db().await).await;
        assert_dated_right(&tenant, &receiver);
    });
}

#[test]
fn the_clock_of_the_only_worker_is_turned() {
    processes::run(async {
        let clock = WrongClock::new();
        let installation = Installation::without_redis(&app::postgres_database().await);
        let wrong = clock.on(&installation);
        let (api, _wrong) = tokio::join!(installation.api(), wrong.worker());
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        turn_and_write(&clock, &tenant, &receiver, &installation.db().await).await;
        assert_dated_right(&tenant, &receiver);
    });
}
