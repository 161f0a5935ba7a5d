//! A recovery of many events whose workers are killed under it: it goes on where it was, and sends each event once.

use std::collections::BTreeSet;
use std::time::Duration;

use harness::processes::{self, Installation, Process, Tenant, number, sql, within};
use harness::{Receiver, app};
use serde_json::json;

use super::{jobs_end, limit, record, seconds};

/// Events to recover, and when there is time.
const EVENTS: (usize, usize) = (3000, 50_000);
/// Deliveries that a kill may repeat: what was under way, and what had arrived while the results before were written.
const UNDER_WAY: usize = 32;
const UNWRITTEN: usize = 128;

/// What runs, and is killed: the worker, or the API that it is in.
struct Running {
    installation: Installation,
    process: Process,
    is_embedded: bool,
}

impl Running {
    async fn kill(&mut self) {
        self.process.kill();
        self.process = if self.is_embedded {
            self.installation.api().await.process
        } else {
            self.installation.worker().await
        };
    }
}

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
    for share in 1..=3 {
        within(Duration::from_mins(3), "the recovery goes on", || async {
            number(&db, emitted).await >= i64::try_from(events * share / 4).unwrap_or(i64::MAX)
        })
        .await;
        running.kill().await;
        // The leases of the dead end now and not after a minute.
        sql(&db, "UPDATE job_leases SET lease_until = 0").await;
    }
    let state = "SELECT COUNT(*) FROM webhook_recoveries WHERE state = 'done'";
    within(Duration::from_mins(3), "the recovery ends", || async {
        number(&db, state).await == 1
    })
    .await;
    jobs_end(&db, Duration::from_mins(5)).await;
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
    println!("{events} events: {} came twice", arrived.len() - events);
    assert_eq!(ids.len(), events);
    assert!(
        arrived.len() <= events + 3 * (UNDER_WAY + UNWRITTEN),
        "{} came twice",
        arrived.len() - events
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
