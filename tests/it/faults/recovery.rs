//! A recovery of many events whose workers are killed under it: it goes on where it was, and sends each event once.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::kernel::Db;
use harness::processes::{self, Installation, Process, Tenant, number, within};
use harness::{Receiver, app};
use serde_json::json;

use super::{all_done, leases_end, limit, record, seconds};

/// Events to recover, and when there is time.
const EVENTS: (usize, usize) = (3000, 50_000);
/// Results that a worker may hold before it takes no more jobs: see the worker's `finisher`, the batch that it writes and
/// those that wait.
const UNWRITTEN: usize = 256 + 1024;
/// Deliveries under way that a lane may have beside them.
const UNDER_WAY: usize = 32;
/// Time after which nothing more of a dead worker arrives, neither at its receiver nor in the database.
const SETTLED: Duration = Duration::from_millis(500);

/// What runs, and is killed: the worker, or the API that it is in.
struct Running {
    installation: Installation,
    process: Process,
    is_embedded: bool,
}

impl Running {
    /// Kills it and starts another. Returns how many deliveries had arrived of which nothing was written yet: those and no
    /// others come again.
    async fn kill(&mut self, db: &Db, receiver: &Receiver) -> usize {
        self.process.kill();
        tokio::time::sleep(SETTLED).await;
        let written = usize::try_from(number(db, DELIVERED).await).expect("a count");
        let ids: BTreeSet<_> = receiver
            .received()
            .iter()
            .map(|one| one.header("webhook-id").to_owned())
            .collect();
        leases_end(db).await;
        self.process = if self.is_embedded {
            self.installation.api().await.process
        } else {
            self.installation.worker().await
        };
        ids.len() - written
    }
}

/// Deliveries whose ends are written.
const DELIVERED: &str = "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state <> 0";

async fn recovery_under_kills(mut running: Running, url: &str) {
    let events = seconds().map_or(EVENTS.0, |_| EVENTS.1);
    let receiver = Receiver::start().await;
    let tenant = Tenant::create(url, "acme", None).await;
    let hooks = format!("{}/webhooks", tenant.org);
    let body = json!({ "url": receiver.url, "events": ["org.updated"] });
    let made = tenant.person.post(&hooks, body).await.expect(201);
    let hook = format!("{hooks}/{}", made.at("/id"));
    let db = running.installation.db().await;
    // It is away while everything happens.
    tenant
        .person
        .patch(&hook, json!({ "enabled": false }))
        .await
        .expect(200)
        .ok();
    record(&db, tenant.org_id, events).await;
    tenant
        .person
        .patch(&hook, json!({ "enabled": true }))
        .await
        .expect(200)
        .ok();
    let wanted = json!({ "since": made.at("/created_at"), "mode": "missing" });
    tenant
        .person
        .post(&format!("{hook}/recover"), wanted)
        .await
        .expect(202)
        .ok();

    let emitted = "SELECT emitted FROM webhook_recoveries";
    let mut unwritten = 0;
    for share in 1..=3 {
        within(Duration::from_mins(3), "the recovery goes on", || async {
            number(&db, emitted).await >= i64::try_from(events * share / 4).unwrap_or(i64::MAX)
        })
        .await;
        let some = running.kill(&db, &receiver).await;
        assert!(some <= UNWRITTEN + UNDER_WAY, "{some} were not written");
        unwritten += some;
    }
    let state = "SELECT COUNT(*) FROM webhook_recoveries WHERE state = 'done'";
    within(Duration::from_mins(3), "the recovery ends", || async {
        number(&db, state).await == 1
    })
    .await;
    all_done(&db, Duration::from_mins(5)).await;
    let count = i64::try_from(events).unwrap_or(i64::MAX);
    assert_eq!(number(&db, emitted).await, count);
    let deliveries = "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook'";
    let distinct = "SELECT COUNT(DISTINCT event_id) FROM jobs WHERE kind = 'webhook'";
    assert_eq!(
        (number(&db, deliveries).await, number(&db, distinct).await),
        (count, count),
        "each once"
    );
    let arrived = receiver.received();
    let ids: BTreeSet<_> = arrived.iter().map(|one| one.header("webhook-id")).collect();
    let twice = arrived.len() - events;
    println!("{events} events: {twice} came twice, {unwritten} were not written when they were killed");
    assert_eq!(ids.len(), events);
    assert!(
        twice <= unwritten,
        "{twice} came twice, and {unwritten} had not been written"
    );
}

#[test]
fn an_embedded_server_killed_during_a_recovery_goes_on_with_it() {
    processes::run_for(limit(), async {
        let installation = Installation::embedded();
        let api = installation.api().await;
        let running = Running {
            installation,
            process: api.process,
            is_embedded: true,
        };
        recovery_under_kills(running, &api.url).await;
    });
}

#[test]
fn workers_killed_during_a_recovery_go_on_with_it() {
    processes::run_for(limit(), async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        let (api, process) = tokio::join!(installation.api(), installation.worker());
        let running = Running {
            installation,
            process,
            is_embedded: false,
        };
        recovery_under_kills(running, &api.url).await;
    });
}
