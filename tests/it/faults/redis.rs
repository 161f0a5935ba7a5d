//! Redis is only a doorbell: wiped or stopped, nothing is lost and writes go on.

use std::time::Duration;

use harness::processes::{self, Api, Installation, Process, Tenant, within};
use harness::servers::Redis;
use harness::{Receiver, app};
use serde_json::json;
use tokio::time::Instant;

use super::load::{Load, assert_kept};
use super::{assert_delivered, jobs_end};

async fn start(redis: &Redis) -> (Installation, Api, Process) {
    let installation = Installation::scaled(&app::postgres_database().await, &redis.url());
    let (api, worker) = tokio::join!(installation.api(), installation.worker());
    (installation, api, worker)
}

#[test]
fn wiped_five_times_a_second_it_loses_no_event() {
    processes::run(async {
        let redis = Redis::start();
        let (installation, api, worker) = start(&redis).await;
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let mut writers = load.start(8, 125);
        let mut acknowledged = Vec::new();
        let mut wipe = tokio::time::interval(Duration::from_millis(200));
        let mut wipes = 0;
        loop {
            tokio::select! {
                _ = wipe.tick() => { redis.flush_all(); wipes += 1; }
                ended = writers.join_next() => match ended {
                    Some(done) => acknowledged.push(done.expect("a writer")),
                    None => break,
                },
            }
        }
        assert!(wipes >= 3, "{wipes} wipes");
        assert_eq!((load.refused(), load.unanswered()), (vec![], 0), "every write is taken");
        let db = installation.db().await;
        jobs_end(&db, Duration::from_secs(15)).await;
        assert_eq!(assert_delivered(&receiver, &tenant, &db).await, 0, "and nothing twice");
        assert_kept(&tenant, &db, acknowledged).await;
        assert_eq!(worker.ended(), None, "the worker was never restarted");
    });
}

#[test]
fn stopped_it_costs_a_second_and_no_write() {
    processes::run(async {
        let redis = Redis::start();
        let (installation, api, worker) = start(&redis).await;
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let _ = receiver.expect(1).await;
        redis.stop();
        for n in 0..5 {
            let put = json!({ "value": format!("while it is down {n}") });
            let begun = Instant::now();
            tenant.client.put(&format!("{}KEY_{n}", tenant.secrets), put).await.ok();
            let (written, committed) = (begun.elapsed(), Instant::now());
            assert!(
                written < Duration::from_secs(1),
                "the write waits for nobody: {written:?}"
            );
            let all = n + 2;
            within(Duration::from_secs(5), "it is delivered", || async {
                receiver.received().len() >= all
            })
            .await;
            let lag = committed.elapsed();
            // The sweeper looks once a second, give or take a fifth; the rest is for a busy machine.
            assert!(lag < Duration::from_secs(2), "{lag:?}");
        }
        redis.start_again();
        let put = json!({ "value": "it is back" });
        tenant.client.put(&format!("{}BACK", tenant.secrets), put).await.ok();
        let _ = receiver.expect(7).await;
        assert_eq!(assert_delivered(&receiver, &tenant, &installation.db().await).await, 0);
        assert_eq!((api.process.ended(), worker.ended()), (None, None));
    });
}
