//! Somebody holds the write lock of SQLite for longer than anybody waits: writes fail whole, and later everything goes on.

use std::time::Duration;

use harness::Receiver;
use harness::processes::{self, Installation, Tenant};
use tokio::time::Instant;

use super::load::{Load, assert_kept};
use super::{assert_delivered, jobs_end, seconds};

/// Longer than the ten seconds that a write waits.
const HELD: u64 = 13;

#[test]
fn a_database_locked_for_long_refuses_writes_whole_and_recovers() {
    processes::run(async {
        // So that reads need no lock.
        let installation = Installation::embedded().with("STRONGROOM_AUDIT_READS", "off");
        let api = installation.api().await;
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let mut writers = load.start(4, 60);
        processes::within(Duration::from_secs(30), "the writers go on", || async {
            load.done() >= 40
        })
        .await;

        let db = installation.db().await;
        let lock = db.begin_write().await.expect("the lock");
        let (begun, done) = (Instant::now(), load.done());
        let held = Duration::from_secs(seconds().map_or(HELD, |long| long.max(HELD)));
        while begun.elapsed() < held {
            let read = Instant::now();
            tenant
                .client
                .get(&format!("{}KEY_0", tenant.secrets))
                .await
                .expect(200)
                .ok();
            assert!(
                read.elapsed() < Duration::from_secs(2),
                "reads go on: {:?}",
                read.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // Each writer may have been answered for what it had written before.
        assert!(load.done() <= done + 4, "nobody writes while it is held");
        lock.rollback().await.expect("give the lock back");

        let mut acknowledged = Vec::new();
        while let Some(writer) = writers.join_next().await {
            acknowledged.push(writer.expect("a writer"));
        }
        let refused = load.refused();
        assert!(!refused.is_empty(), "it was felt");
        assert!(refused.iter().all(|status| *status == 503), "only 503: {refused:?}");
        jobs_end(&db, Duration::from_mins(1)).await;
        let repeated = assert_delivered(&receiver, &tenant, &db).await;
        assert!(repeated <= 32, "{repeated} came twice");
        assert_kept(&tenant, &db, acknowledged).await;
        tenant.verify().await;
        assert_eq!(api.process.ended(), None, "nobody was restarted");
    });
}
