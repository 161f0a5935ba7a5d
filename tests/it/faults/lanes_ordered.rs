//! An endpoint that wants its events in order: while its first one fails, nothing overtakes it.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::processes::{self, Installation, Tenant, number, sql, within};
use harness::{Receiver, app};
use serde_json::json;

use super::load::Load;
use super::{OPEN_JOBS, assert_delivered};

const WRITERS: usize = 4;
const EACH: usize = 20;

fn seqs(receiver: &Receiver) -> Vec<i64> {
    let got = receiver.received();
    got.iter()
        .map(|one| one.json()["seq"].as_i64().expect("a number"))
        .collect()
}

async fn nothing_overtakes(installation: &Installation, url: &str) {
    // The other one takes them in any order.
    let (ordered, other) = (Receiver::start().await, Receiver::start().await);
    let tenant = Tenant::create(url, "acme", Some(&other)).await;
    let body = json!({ "url": ordered.url, "events": ["secret.*"], "ordered": true });
    tenant
        .person
        .post(&format!("{}/webhooks", tenant.org), body)
        .await
        .expect(201)
        .ok();
    ordered.answer(500, Duration::from_millis(10));
    let load = Load::new(&tenant, url);
    load.start(WRITERS, EACH).join_all().await;
    within(Duration::from_secs(10), "the first one was tried", || async {
        !ordered.received().is_empty()
    })
    .await;
    within(Duration::from_secs(20), "others are not held up", || async {
        other.received().len() == 1 + WRITERS * EACH
    })
    .await;
    let tried: BTreeSet<_> = seqs(&ordered).into_iter().collect();
    assert_eq!(tried.len(), 1, "only the first one was tried");

    ordered.answer(204, Duration::from_millis(10));
    let failed = ordered.received().len();
    let db = installation.db().await;
    // The next try comes now, and not after seconds or, if there were two already, minutes.
    sql(&db, "UPDATE jobs SET next_at = 0 WHERE state = 0 AND attempt > 0").await;
    within(Duration::from_mins(1), "every job ends", || async {
        number(&db, OPEN_JOBS).await == 0
    })
    .await;
    let arrived = seqs(&ordered);
    assert_eq!(arrived.len(), failed + WRITERS * EACH, "each arrives once");
    assert!(tried.contains(&arrived[failed]), "the first one comes first");
    assert!(arrived[failed..].is_sorted_by(|one, next| one < next), "{arrived:?}");
    assert_eq!(assert_delivered(&other, &tenant, &db).await, 0);
}

#[test]
fn embedded() {
    processes::run(async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        nothing_overtakes(&installation, &api.url).await;
    });
}

#[test]
fn four_workers() {
    processes::run(async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        let worker = || installation.worker();
        let (api, _one, _two, _three, _four) = tokio::join!(installation.api(), worker(), worker(), worker(), worker());
        nothing_overtakes(&installation, &api.url).await;
    });
}
