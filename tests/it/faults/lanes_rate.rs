//! A rate holds exactly, however many workers there are, and also when one of them is killed.

use std::time::Duration;

use domain::kernel::Timestamp;
use harness::processes::{self, Installation, Tenant, number, sql, within};
use harness::{Receiver, app};
use serde_json::json;

use super::{OPEN_JOBS, record};

/// Deliveries a second.
const RATE: usize = 20;
const EVENTS: usize = 100;
/// What they take at least: the first one comes at once.
const LEAST: Duration = Duration::from_millis(4950);
/// Deliveries are begun in time, and may arrive a little late.
const SLACK: Duration = Duration::from_millis(100);

/// The most arrivals within any second, short of the slack.
fn busiest_second(mut arrivals: Vec<Timestamp>) -> usize {
    arrivals.sort();
    let within = |from: &Timestamp| {
        let end = *from + Duration::from_secs(1).saturating_sub(SLACK);
        arrivals.iter().filter(|at| *from <= **at && **at < end).count()
    };
    arrivals.iter().map(within).max().unwrap_or(0)
}

async fn a_rate_holds(installation: &Installation, workers: usize) {
    let api = installation.api().await;
    let mut processes = Vec::new();
    for _ in 0..workers {
        processes.push(installation.worker().await);
    }
    let receiver = Receiver::start().await;
    let tenant = Tenant::create(&api.url, "acme", None).await;
    let rate = json!({ "deliveries": RATE, "per": "second" });
    let body = json!({ "url": receiver.url, "events": ["org.updated"], "rate": rate });
    tenant
        .person
        .post(&format!("{}/webhooks", tenant.org), body)
        .await
        .expect(201)
        .ok();
    let db = installation.db().await;
    record(&db, tenant.org_id, EVENTS).await;
    within(Duration::from_secs(15), "half of them arrive", || async {
        receiver.received().len() >= EVENTS / 2
    })
    .await;
    if let Some(worker) = processes.first() {
        worker.kill();
        sql(&db, "UPDATE job_leases SET lease_until = 0").await;
    }
    within(Duration::from_secs(20), "every job ends", || async {
        number(&db, OPEN_JOBS).await == 0
    })
    .await;
    let arrivals: Vec<Timestamp> = receiver.received().iter().map(|one| one.at).collect();
    let (first, last) = (arrivals.iter().min(), arrivals.iter().max());
    let took = last.expect("arrivals").since(*first.expect("arrivals"));
    println!("{} deliveries in {took:?}", arrivals.len());
    assert!(took + SLACK >= LEAST, "faster than it should: {took:?}");
    assert!(took < LEAST * 2, "slower than it could: {took:?}");
    assert!(busiest_second(arrivals) <= RATE, "too many within a second");
}

#[test]
fn embedded() {
    processes::run(async { a_rate_holds(&Installation::embedded(), 0).await });
}

#[test]
fn three_workers() {
    processes::run(async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        a_rate_holds(&installation, 3).await;
    });
}
