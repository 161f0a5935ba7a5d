//! Workers that are stopped, frozen, crowded, or held up by receivers.

use std::time::Duration;

use harness::processes::{self, Installation, Process, Tenant, number, sql, within};
use harness::{Receiver, app};
use redis::AsyncCommands;
use serde_json::json;

use super::load::Load;
use super::{assert_delivered, jobs_end, seconds};

/// How long a worker may take to end when it is asked to.
const DRAIN: Duration = Duration::from_secs(30);

/// How often workers are asked to stop.
fn stops() -> usize {
    if seconds().is_some() { 50 } else { 6 }
}

/// Asks a process to stop: it does so in time, and of its own accord.
async fn stop(process: &Process) {
    let asked = tokio::time::Instant::now();
    assert_eq!(process.terminate().await, 0, "{}", process.log());
    assert!(asked.elapsed() <= DRAIN, "{:?}", asked.elapsed());
}

const RUNNING: &str = "SELECT COUNT(*) FROM job_leases";

async fn attempts(db: &domain::kernel::Db, outcome: &str) -> i64 {
    number(
        db,
        &format!("SELECT COUNT(*) FROM job_attempts WHERE outcome = '{outcome}'"),
    )
    .await
}

#[test]
fn workers_asked_to_stop_under_load_finish_and_repeat_nothing() {
    processes::run(async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        let (api, one, two) = tokio::join!(installation.api(), installation.worker(), installation.worker());
        let receiver = Receiver::start().await;
        receiver.answer(204, Duration::from_millis(20));
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let writers = load.start(8, stops() * 9);
        let mut workers: [Process; 2] = [one, two];
        for n in 1..=stops() {
            within(Duration::from_mins(1), "the writers go on", || async {
                load.done() >= n * 60
            })
            .await;
            let worker = &mut workers[n % 2];
            stop(worker).await;
            *worker = installation.worker().await;
        }
        writers.join_all().await;
        let db = installation.db().await;
        within(Duration::from_secs(30), "every job ends", || async {
            number(&db, super::OPEN_JOBS).await == 0
        })
        .await;
        assert_eq!(assert_delivered(&receiver, &tenant, &db).await, 0, "nothing came twice");
        assert_eq!(attempts(&db, "worker_lost").await, 0, "no lease was left behind");
    });
}

#[test]
fn an_embedded_worker_asked_to_stop_under_load_repeats_nothing() {
    processes::run(async {
        let installation = Installation::embedded();
        let mut api = installation.api().await;
        let receiver = Receiver::start().await;
        receiver.answer(204, Duration::from_millis(20));
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let writers = load.start(8, stops() * 9);
        for n in 1..=stops() {
            within(Duration::from_mins(1), "the writers go on", || async {
                load.done() >= n * 60
            })
            .await;
            stop(&api.process).await;
            api = installation.api().await;
            load.moves_to(&api.url);
        }
        writers.join_all().await;
        let db = installation.db().await;
        within(Duration::from_secs(30), "every job ends", || async {
            number(&db, super::OPEN_JOBS).await == 0
        })
        .await;
        assert_eq!(assert_delivered(&receiver, &tenant, &db).await, 0, "nothing came twice");
        assert_eq!(attempts(&db, "worker_lost").await, 0, "no lease was left behind");
    });
}

#[test]
fn a_worker_frozen_beyond_its_lease_changes_nothing_when_it_thaws() {
    processes::run(async {
        let installation = Installation::scaled(&app::postgres_database().await, &app::redis_url());
        let (api, frozen) = tokio::join!(installation.api(), installation.worker());
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let db = installation.db().await;
        jobs_end(&db, Duration::from_secs(10)).await;

        receiver.answer(204, Duration::from_secs(3));
        let put = json!({ "value": "frozen" });
        tenant.client.put(&format!("{}DB_URL", tenant.secrets), put).await.ok();
        within(Duration::from_secs(10), "it is being delivered", || async {
            number(&db, RUNNING).await == 1
        })
        .await;
        frozen.signal("STOP");
        receiver.answer(204, Duration::ZERO);
        // With time, the lease ends by itself.
        if seconds().is_none() {
            sql(&db, "UPDATE job_leases SET lease_until = 0").await;
        }
        let other = installation.worker().await;
        within(Duration::from_secs(90), "another one does it", || async {
            number(
                &db,
                "SELECT COUNT(*) FROM jobs WHERE last_outcome = 'ok' AND crashes = 1 AND state = 2",
            )
            .await
                == 1
        })
        .await;
        frozen.signal("CONT");
        within(Duration::from_secs(15), "the late result is logged", || async {
            attempts(&db, "stale").await == 1
        })
        .await;

        let states = "SELECT COUNT(*) FROM jobs WHERE state <> 2 OR last_outcome <> 'ok'";
        assert_eq!(number(&db, states).await, 0, "the newest lease decided");
        assert_eq!(number(&db, RUNNING).await, 0, "and has ended");
        assert_eq!(attempts(&db, "worker_lost").await, 1);
        assert!(
            frozen.log().contains("results came after their leases had ended"),
            "{}",
            frozen.log()
        );
        // The slow answer may still be on its way.
        within(Duration::from_secs(10), "both arrive", || async {
            receiver.received().len() == 3
        })
        .await;
        assert_eq!(
            assert_delivered(&receiver, &tenant, &db).await,
            1,
            "twice, under one id"
        );
        assert_eq!((frozen.terminate().await, other.terminate().await), (0, 0));
    });
}

#[test]
fn four_workers_and_rings_in_plenty_attempt_each_job_once() {
    processes::run(async {
        let redis_url = app::redis_url();
        let installation = Installation::scaled(&app::postgres_database().await, &redis_url);
        let worker = || installation.worker();
        let (api, one, two, three, four) = tokio::join!(installation.api(), worker(), worker(), worker(), worker());
        let receiver = Receiver::start().await;
        receiver.answer(204, Duration::from_millis(10));
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let mut writers = load.start(8, 50);
        let hook = tenant
            .client
            .get(&format!("{}/webhooks", tenant.org))
            .await
            .expect(200)
            .at("/data/0/id");
        let id: domain::kernel::id::WebhookId = hook.parse().expect("an id");
        let lane = format!("wh:{}", id.0.simple());
        let client = redis::Client::open(redis_url).expect("a Redis URL");
        let mut bell = client.get_multiplexed_async_connection().await.expect("Redis");
        let mut again = tokio::time::interval(Duration::from_millis(5));
        loop {
            tokio::select! {
                ended = writers.join_next() => if ended.is_none() { break },
                _ = again.tick() => for _ in 0..3 {
                    let _: String = bell.xadd("strongroom:bell", "*", &[("l", &lane)]).await.expect("ring");
                }
            }
        }
        let db = installation.db().await;
        within(Duration::from_secs(30), "every job ends", || async {
            number(&db, super::OPEN_JOBS).await == 0
        })
        .await;
        let odd = "SELECT COUNT(*) FROM jobs WHERE attempt <> 1 OR crashes <> 0 OR state <> 2";
        assert_eq!(number(&db, odd).await, 0, "each was attempted once");
        let logged = "SELECT (SELECT COUNT(*) FROM job_attempts) - (SELECT COUNT(*) FROM jobs)";
        assert_eq!(number(&db, logged).await, 0, "and logged once");
        let busy = "SELECT COUNT(DISTINCT worker) FROM job_attempts";
        assert!(number(&db, busy).await >= 2, "the work was shared");
        assert_eq!(assert_delivered(&receiver, &tenant, &db).await, 0, "nothing came twice");
        drop((one, two, three, four));
    });
}
