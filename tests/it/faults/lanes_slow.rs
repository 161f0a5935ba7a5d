//! Endpoints that answer well, and take their time: they have slots of their own, and hold nobody back who is quick.

use std::time::Duration;

use harness::app;
use harness::processes::{self, Api, Installation, Tenant, within};
use serde_json::json;

use super::hanging::Hanging;
use super::lanes_dead::{Others, assert_unmoved};
use super::{limit, record, seconds};

/// Organisations with slow endpoints, and endpoints of each: by their windows and shares, these could take every slot
/// that there is.
const ORGS: usize = 10;
const ENDPOINTS: usize = 8;
/// Slots of one worker for endpoints that are slow: a quarter of its 256.
const SLOW_SLOTS: usize = 64;
/// Events for each of the organisations once it is known who is slow.
const EVENTS: usize = 20;
/// Endpoints beside them.
const OTHERS: usize = 20;
/// How long those are watched, in seconds.
const WATCHED: u64 = 5;

/// What the slow ones take to answer: more than the second that makes them slow; in a long run, half of all the time
/// that they have.
fn slow() -> Duration {
    Duration::from_secs(if seconds().is_some() { 10 } else { 3 })
}

/// Events of all these organisations, so many of each.
async fn record_all(installation: &Installation, zoo: &[Tenant], count: usize) {
    let db = installation.db().await;
    for tenant in zoo {
        record(&db, tenant.org_id, count).await;
    }
}

async fn many_slow_endpoints(installation: &Installation, api: &Api) {
    let watched = Duration::from_secs(seconds().unwrap_or(WATCHED));
    let others = Others::create(api, OTHERS).await;
    let alone = others.watch(watched).await;
    let hanging = Hanging::answering_after(slow()).await;
    let mut zoo = Vec::new();
    for n in 0..ORGS {
        let tenant = Tenant::create(&api.url, &format!("zoo-{n}"), None).await;
        for _ in 0..ENDPOINTS {
            let body = json!({ "url": hanging.url, "events": ["org.updated"] });
            let hooks = format!("{}/webhooks", tenant.org);
            tenant.person.post(&hooks, body).await.expect(201).ok();
        }
        zoo.push(tenant);
    }
    // One delivery each shows who is slow.
    record_all(installation, &zoo, 1).await;
    within(slow() * 6, "all are known", || async {
        hanging.answered() >= ORGS * ENDPOINTS
    })
    .await;
    hanging.forget_peak();
    record_all(installation, &zoo, EVENTS).await;
    within(slow() * 2, "as many as may be are called", || async {
        hanging.peak() >= SLOW_SLOTS
    })
    .await;
    let beside = others.watch(watched).await;
    assert_unmoved(&alone, &beside);
    assert_eq!(
        hanging.peak(),
        SLOW_SLOTS,
        "the slow ones have slots of their own and no others"
    );
}

#[test]
fn embedded() {
    processes::run_for(limit(), async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        many_slow_endpoints(&installation, &api).await;
    });
}

#[test]
fn scaled() {
    processes::run_for(limit(), async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        let (api, _worker) = tokio::join!(installation.api(), installation.worker());
        many_slow_endpoints(&installation, &api).await;
    });
}
