//! Endpoints that are dead, and those of others beside them, which must not feel it.

use std::time::Duration;

use harness::processes::{self, Api, Installation, Tenant, within};
use harness::{Receiver, app};
use serde_json::json;
use tokio::time::Instant;

use super::hanging::Hanging;
use super::{lags, limit, record, seconds};

/// Events for the dead endpoint, and when there is time.
const BACKLOG: (usize, usize) = (4000, 100_000);
/// Endpoints beside it, and when there is time.
const OTHERS: (usize, usize) = (20, 100);
/// How long others are watched, in seconds.
const WATCHED: u64 = 5;
/// Deliveries to one endpoint at once, at most.
const WINDOW: usize = 32;
/// Endpoints of one organisation that all hang.
const HANGING: usize = 30;
/// Deliveries of one organisation at once in one worker, at most: an eighth of its 256 slots.
const ORG_CAP: usize = 32;

/// A tenant with endpoints that each want the changes of one key.
pub struct Others {
    tenant: Tenant,
    receiver: Receiver,
    count: usize,
}

impl Others {
    pub async fn create(api: &Api, count: usize) -> Self {
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", None).await;
        for n in 0..count {
            let filters = json!({ "keys": [format!("KEY_{n}")] });
            let body = json!({ "url": receiver.url, "events": ["secret.*"], "filters": filters });
            let hooks = format!("{}/webhooks", tenant.org);
            tenant.person.post(&hooks, body).await.expect(201).ok();
        }
        Self {
            tenant,
            receiver,
            count,
        }
    }

    /// Changes one key after the other for so long; answers how long each took to arrive, the shortest first.
    pub async fn watch(&self, time: Duration) -> Vec<Duration> {
        let (begun, before) = (Instant::now(), self.receiver.received().len());
        let mut written = 0;
        while begun.elapsed() < time {
            let path = format!("{}KEY_{}", self.tenant.secrets, written % self.count);
            let put = json!({ "value": format!("value {written}") });
            self.tenant.client.put(&path, put).await.ok();
            written += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        within(Duration::from_secs(30), "everything arrives", || async {
            self.receiver.received().len() == before + written
        })
        .await;
        let mut lags = lags(&self.receiver.received()[before..]);
        lags.sort();
        lags
    }
}

fn share(sorted: &[Duration], percent: usize) -> Duration {
    sorted[sorted.len() * percent / 100]
}

/// Asserts that others take no longer than they did alone. A machine that runs other tests too has its outliers; alone,
/// for longer, the 99th of a hundred counts.
pub fn assert_unmoved(alone: &[Duration], beside: &[Duration]) {
    println!("p50 {:?} alone, {:?} beside it", share(alone, 50), share(beside, 50));
    println!("p99 {:?} alone, {:?} beside it", share(alone, 99), share(beside, 99));
    if seconds().is_some() {
        let limit = share(alone, 99).max(Duration::from_millis(20)).mul_f64(1.5);
        assert!(share(beside, 99) <= limit, "{:?}", share(beside, 99));
    } else {
        let limit = share(alone, 90).mul_f64(3.0).max(Duration::from_millis(300));
        assert!(share(beside, 90) <= limit, "{:?}", share(beside, 90));
    }
}

async fn one_dead_endpoint(installation: &Installation, api: &Api) {
    let (backlog, count) = seconds().map_or((BACKLOG.0, OTHERS.0), |_| (BACKLOG.1, OTHERS.1));
    let watched = Duration::from_secs(seconds().unwrap_or(WATCHED));
    let others = Others::create(api, count).await;
    let alone = others.watch(watched).await;
    let dead = Hanging::start().await;
    let zoo = Tenant::create(&api.url, "zoo", None).await;
    let body = json!({ "url": dead.url, "events": ["org.updated"] });
    zoo.person
        .post(&format!("{}/webhooks", zoo.org), body)
        .await
        .expect(201)
        .ok();
    record(&installation.db().await, zoo.org_id, backlog).await;
    within(Duration::from_secs(10), "the dead one is called", || async {
        dead.peak() > 0
    })
    .await;
    let beside = others.watch(watched).await;
    assert_unmoved(&alone, &beside);
    assert!(dead.peak() <= WINDOW, "{} at once to the dead one", dead.peak());
}

async fn many_hanging_endpoints(installation: &Installation, api: &Api) {
    let others = Others::create(api, OTHERS.0).await;
    let alone = others.watch(Duration::from_secs(WATCHED)).await;
    let hanging = Hanging::start().await;
    let zoo = Tenant::create(&api.url, "zoo", None).await;
    for _ in 0..HANGING {
        let body = json!({ "url": hanging.url, "events": ["org.updated"] });
        zoo.person
            .post(&format!("{}/webhooks", zoo.org), body)
            .await
            .expect(201)
            .ok();
    }
    record(&installation.db().await, zoo.org_id, 40).await;
    within(Duration::from_secs(10), "many are called", || async {
        hanging.peak() >= HANGING
    })
    .await;
    let beside = others.watch(Duration::from_secs(WATCHED)).await;
    assert_unmoved(&alone, &beside);
    assert!(
        hanging.peak() <= ORG_CAP,
        "{} at once to one organisation's",
        hanging.peak()
    );
}

#[test]
fn a_dead_endpoint_with_a_backlog_leaves_others_alone_embedded() {
    processes::run_for(limit(), async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        one_dead_endpoint(&installation, &api).await;
    });
}

#[test]
fn a_dead_endpoint_with_a_backlog_leaves_others_alone_scaled() {
    processes::run_for(limit(), async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        let (api, _worker) = tokio::join!(installation.api(), installation.worker());
        one_dead_endpoint(&installation, &api).await;
    });
}

#[test]
fn an_organisation_whose_endpoints_all_hang_leaves_others_alone_embedded() {
    processes::run_for(limit(), async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        many_hanging_endpoints(&installation, &api).await;
    });
}

#[test]
fn an_organisation_whose_endpoints_all_hang_leaves_others_alone_scaled() {
    processes::run_for(limit(), async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        let (api, _worker) = tokio::join!(installation.api(), installation.worker());
        many_hanging_endpoints(&installation, &api).await;
    });
}
