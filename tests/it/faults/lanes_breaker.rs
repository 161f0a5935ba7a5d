//! The breaker of an endpoint: it opens, stays open whoever is restarted, costs what waits no try, and closes by itself.

use std::time::Duration;

use domain::kernel::Db;
use harness::processes::{self, Installation, Tenant, number, within};
use harness::{Receiver, app};
use serde_json::json;

use super::OPEN_JOBS;

/// Events that find the endpoint broken: more than the failures in a row that open the breaker, by more than what may be
/// under way when it opens.
const FAILING: usize = 60;
/// Failures in a row that open it, and what may be under way besides.
const TRIES: std::ops::RangeInclusive<i64> = 10..=42;
/// Events that come while it is open.
const WAITING: usize = 10;
/// Less than the half minute for which it is open at first.
const WATCHED: Duration = Duration::from_secs(5);

async fn tries(db: &Db) -> i64 {
    number(db, "SELECT COUNT(*) FROM job_attempts WHERE status = 500").await
}

async fn write(tenant: &Tenant, name: &str, count: usize) {
    for n in 0..count {
        let put = json!({ "value": format!("value {n}") });
        tenant.client.put(&format!("{}{name}", tenant.secrets), put).await.ok();
    }
}

async fn a_broken_endpoint(installation: &Installation, is_embedded: bool) {
    let mut api = installation.api().await;
    let mut worker = if is_embedded {
        None
    } else {
        Some(installation.worker().await)
    };
    let receiver = Receiver::start().await;
    let tenant = Tenant::create(&api.url, "acme", None).await;
    let body = json!({ "url": receiver.url, "events": ["secret.*"] });
    tenant
        .person
        .post(&format!("{}/webhooks", tenant.org), body)
        .await
        .expect(201)
        .ok();
    let db = installation.db().await;
    receiver.answer(500, Duration::ZERO);
    write(&tenant, "FAILING", FAILING).await;
    within(Duration::from_secs(15), "it is tried often enough", || async {
        tries(&db).await >= *TRIES.start()
    })
    .await;
    // What was under way ends.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = tries(&db).await;
    assert!(TRIES.contains(&before), "{before} tries");

    // Whoever begins anew finds it open.
    let tenant = if let Some(worker) = &mut worker {
        worker.kill();
        *worker = installation.worker().await;
        tenant
    } else {
        api.process.kill();
        api = installation.api().await;
        tenant.at(&api.url)
    };
    write(&tenant, "WAITING", WAITING).await;
    tokio::time::sleep(WATCHED).await;
    assert_eq!(tries(&db).await, before, "nothing is sent while it is open");
    let untouched = "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state = 0 AND attempt = 0";
    let waiting = i64::try_from(FAILING + WAITING).unwrap_or(i64::MAX) - before;
    assert!(number(&db, untouched).await >= waiting, "what waits uses up no try");

    // Half a minute after it opened one delivery tries, and then all go.
    receiver.answer(204, Duration::ZERO);
    within(Duration::from_secs(75), "everything arrives", || async {
        number(&db, OPEN_JOBS).await == 0
    })
    .await;
    let arrived = "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state = 2";
    assert_eq!(usize::try_from(number(&db, arrived).await), Ok(FAILING + WAITING));
}

#[test]
fn embedded() {
    processes::run(async { a_broken_endpoint(&Installation::embedded(), true).await });
}

#[test]
fn scaled() {
    processes::run(async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        a_broken_endpoint(&installation, false).await;
    });
}
