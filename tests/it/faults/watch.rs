//! Watching through several processes: Redis makes it quick, and without it nothing is lost.

use std::time::Duration;

use harness::processes::{self, Installation, Tenant};
use harness::servers::Redis;
use harness::{Events, app};
use serde_json::json;
use tokio::time::Instant;

/// Writes through one process, and waits until every stream has told of it; answers how long the slowest took.
async fn told(tenant: &Tenant, streams: &mut [Events], revision: i64) -> Duration {
    let put = json!({ "value": format!("canary {revision}") });
    tenant.client.put(&format!("{}KEY", tenant.secrets), put).await.ok();
    let answered = Instant::now();
    for events in streams {
        assert_eq!(events.expect("revision").await.revision(), revision);
    }
    answered.elapsed()
}

#[test]
fn every_process_tells_of_a_change_in_one_with_redis_and_without() {
    processes::run(async {
        let redis = Redis::start();
        let installation = Installation::scaled(&app::postgres_database().await, &redis.url());
        let (one, two) = tokio::join!(installation.api(), installation.api());
        let tenant = Tenant::create(&one.url, "acme", None).await;
        let watch = tenant.secrets.replace("/secrets/", "/watch");
        let mut streams = [
            tenant.client.events(&watch).await,
            tenant.at(&two.url).client.events(&watch).await,
        ];
        for events in &mut streams {
            assert_eq!(events.expect("current").await.revision(), 0);
        }
        // The first one may come before the other process listens to Redis.
        let mut revision = 1;
        told(&tenant, &mut streams, revision).await;
        let mut together = Duration::ZERO;
        for _ in 0..10 {
            revision += 1;
            together += told(&tenant, &mut streams, revision).await;
        }
        println!("with Redis ten changes are told within {together:?}");
        // Looks alone would take about ten seconds: each change comes right after one.
        assert!(together < Duration::from_secs(4), "{together:?}");

        redis.stop();
        for _ in 0..3 {
            revision += 1;
            let took = told(&tenant, &mut streams, revision).await;
            println!("without Redis a change is told within {took:?}");
            assert!(took < Duration::from_secs(4), "{took:?}");
        }
        redis.start_again();
        revision += 1;
        told(&tenant, &mut streams, revision).await;

        let stopped = Instant::now();
        assert_eq!(two.process.terminate().await, 0, "{}", two.process.log());
        assert!(stopped.elapsed() < Duration::from_secs(15), "{:?}", stopped.elapsed());
        let [mut stays, mut ended] = streams;
        assert_eq!(ended.next().await, None);
        revision += 1;
        told(&tenant, std::slice::from_mut(&mut stays), revision).await;
        let missed = tenant.client.with("Last-Event-ID", &(revision - 1).to_string());
        let again = missed.events(&format!("{watch}?wait=0")).await.rest().await;
        let ids: Vec<_> = again
            .iter()
            .map(|event| (event.name.as_str(), event.revision()))
            .collect();
        assert_eq!(ids, [("revision", revision), ("current", revision)]);
        assert!(!stays.text().contains("canary") && !ended.text().contains("canary"));
    });
}
