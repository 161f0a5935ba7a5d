//! Redis is only a doorbell: wiped or stopped, nothing is lost and writes go on.

use std::time::Duration;

use harness::processes::{self, Api, Installation, Process, Tenant, within};
use harness::servers::Redis;
use harness::{Receiver, app};
use serde_json::json;
use tokio::time::Instant;

use super::load::{Load, assert_kept};
use super::{assert_delivered, jobs_end, lags, seconds};

/// Writes of each of the eight writers while it is wiped, and when there is time.
const EACH: (usize, usize) = (125, 1250);
/// How long it is away under load, in seconds.
const AWAY: u64 = 6;
/// What a write may take longer because it is away: the bell gives up after 50 ms.
const ADDED: Duration = Duration::from_millis(60);

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
        let each = seconds().map_or(EACH.0, |_| EACH.1);
        let mut writers = load.start(8, each);
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

/// Writes one after the other for so long; answers what each took, the shortest first.
async fn write_for(tenant: &Tenant, name: &str, time: Duration) -> Vec<Duration> {
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < time {
        let put = json!({ "value": format!("{name} {}", took.len()) });
        let at = Instant::now();
        tenant.client.put(&format!("{}{name}", tenant.secrets), put).await.ok();
        took.push(at.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    took.sort();
    took
}

fn share(sorted: &[Duration], percent: usize) -> Duration {
    sorted[sorted.len() * percent / 100]
}

#[test]
fn away_for_long_it_costs_writes_nothing_that_is_felt() {
    processes::run(async {
        let redis = Redis::start();
        let (installation, api, worker) = start(&redis).await;
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let time = Duration::from_secs(seconds().unwrap_or(AWAY));
        let with = write_for(&tenant, "WITH", time).await;
        redis.stop();
        let begun = receiver.received().len();
        let without = write_for(&tenant, "WITHOUT", time).await;
        let db = installation.db().await;
        jobs_end(&db, Duration::from_secs(15)).await;
        let mut lags = lags(&receiver.received()[begun..]);
        lags.sort();
        redis.start_again();
        let after = write_for(&tenant, "AFTER", Duration::from_secs(1)).await;
        jobs_end(&db, Duration::from_secs(15)).await;
        let total = with.len() + without.len() + after.len();
        println!(
            "{total} writes; p99 {:?} with it, {:?} without",
            share(&with, 99),
            share(&without, 99)
        );
        println!("without it p99 from commit to receipt is {:?}", share(&lags, 99));
        // A machine that runs other tests too has its outliers; alone, for longer, the 99th of a hundred counts.
        let (percent, patience) = seconds().map_or((50, Duration::from_secs(3)), |_| (99, Duration::from_millis(1500)));
        assert!(
            share(&without, percent) <= share(&with, percent) + ADDED,
            "writes wait for it"
        );
        assert!(
            share(&lags, percent) <= patience,
            "the sweepers are slow: {:?}",
            share(&lags, percent)
        );
        assert_eq!(
            assert_delivered(&receiver, &tenant, &db).await,
            0,
            "nothing is lost, nothing comes twice"
        );
        assert_eq!(
            (api.process.ended(), worker.ended()),
            (None, None),
            "nobody was restarted"
        );
    });
}

#[test]
fn frozen_it_holds_up_no_write_and_no_reader_afterwards() {
    processes::run(async {
        let redis = Redis::start();
        let (installation, api, worker) = start(&redis).await;
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let _ = receiver.expect(1).await;
        redis.freeze();
        let took = write_for(&tenant, "FROZEN", Duration::from_secs(5)).await;
        assert!(share(&took, 50) < Duration::from_millis(250), "{:?}", share(&took, 50));
        assert!(share(&took, 99) < Duration::from_secs(1), "{:?}", took.last());
        let all = 1 + took.len();
        within(
            Duration::from_secs(5),
            "sweepers find what nobody could ring for",
            || async { receiver.received().len() == all },
        )
        .await;
        redis.thaw();
        // The bell is heard again: three deliveries in a row that came sooner than a sweeper would.
        let (thawed, mut quick, mut written) = (Instant::now(), 0, all);
        while quick < 3 {
            assert!(
                thawed.elapsed() < Duration::from_secs(30),
                "the bell is not heard again"
            );
            written += 1;
            let put = json!({ "value": format!("thawed {written}") });
            tenant.client.put(&format!("{}THAWED", tenant.secrets), put).await.ok();
            let committed = Instant::now();
            let _ = receiver.expect(written).await;
            let is_quick = committed.elapsed() < Duration::from_millis(200);
            quick = if is_quick { quick + 1 } else { 0 };
        }
        assert_eq!(assert_delivered(&receiver, &tenant, &installation.db().await).await, 0);
        assert_eq!(
            (api.process.ended(), worker.ended()),
            (None, None),
            "nobody was restarted"
        );
    });
}
