//! A delivery over which one worker after the other dies is set aside, and its lane goes on.

use std::time::Duration;

use harness::processes::{self, Installation, Tenant, number, sql, within};
use harness::{Receiver, app};
use serde_json::json;

/// Workers that may die over one job.
const CRASHES: usize = 5;

async fn workers_die_over_one_delivery(installation: Installation, is_embedded: bool) {
    let mut api = installation.api().await;
    let receiver = Receiver::start().await;
    let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
    let db = installation.db().await;
    let mut worker = if is_embedded {
        None
    } else {
        Some(installation.worker().await)
    };
    let _ = receiver.expect(1).await;
    super::jobs_end(&db, Duration::from_secs(15)).await;

    // Each worker is killed while the receiver takes its time.
    receiver.answer(204, Duration::from_mins(1));
    let put = json!({ "value": "poison" });
    tenant.client.put(&format!("{}POISON", tenant.secrets), put).await.ok();
    for _ in 0..CRASHES {
        // What a worker has claimed and not begun is not what it died over, but for the first time;
        // nor does what the one before has left behind count.
        within(Duration::from_secs(30), "it is under way", || async {
            number(
                &db,
                "SELECT COUNT(*) FROM job_leases l JOIN jobs j ON j.id = l.job_id
                 WHERE l.lease_until > 0 AND (l.begun OR j.crashes = 0)",
            )
            .await
                == 1
        })
        .await;
        if let Some(worker) = &mut worker {
            worker.kill();
            sql(&db, "UPDATE job_leases SET lease_until = 0").await;
            *worker = installation.worker().await;
        } else {
            api.process.kill();
            sql(&db, "UPDATE job_leases SET lease_until = 0").await;
            api = installation.api().await;
        }
    }
    within(Duration::from_secs(15), "it is set aside", || async {
        number(&db, "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state = 3").await == 1
    })
    .await;
    receiver.answer(204, Duration::ZERO);
    let tenant = tenant.at(&api.url);
    let put = json!({ "value": "what comes next" });
    tenant.client.put(&format!("{}NEXT", tenant.secrets), put).await.ok();
    let arrived = "SELECT COUNT(*) FROM jobs WHERE kind = 'webhook' AND state = 2";
    within(Duration::from_secs(15), "the lane goes on", || async {
        number(&db, arrived).await == 2
    })
    .await;

    let hooks = format!("{}/webhooks", tenant.org);
    let hook = tenant.client.get(&hooks).await.expect(200).at("/data/0/id");
    let log = tenant
        .client
        .get(&format!("{hooks}/{hook}/deliveries"))
        .await
        .expect(200);
    assert_eq!(
        [log.at("/data/0/state"), log.at("/data/1/state")],
        ["succeeded", "failed"],
        "{}",
        log.text()
    );
    let attempts = log.json()["data"][1]["attempts"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt["outcome"].clone()).collect();
    assert_eq!(outcomes, vec![json!("worker_lost"); CRASHES]);
}

#[test]
fn embedded() {
    processes::run(workers_die_over_one_delivery(Installation::embedded(), true));
}

#[test]
fn scaled() {
    processes::run(async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        workers_die_over_one_delivery(installation, false).await;
    });
}
