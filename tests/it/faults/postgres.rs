//! PostgreSQL goes away and comes back under load.

use std::time::Duration;

use harness::Receiver;
use harness::processes::{self, Installation, Tenant, within};
use harness::servers::{Postgres, Redis};

use super::load::{Load, assert_kept};
use super::{assert_delivered, jobs_end};

const RESTARTS: usize = 3;

#[test]
fn a_restart_under_load_answers_503_and_recovers_by_itself() {
    processes::run(async {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        let installation = Installation::scaled(&postgres.url("postgres"), &redis.url());
        let (api, worker) = tokio::join!(installation.api(), installation.worker());
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let writers = load.start(8, 75);
        for n in 1..=RESTARTS {
            within(Duration::from_secs(30), "the writers go on", || async {
                load.done() >= n * 120
            })
            .await;
            // Immediate mode: every connection is cut, whatever it was about to commit.
            postgres.restart();
        }
        let acknowledged = writers.join_all().await;
        let refused = load.refused();
        assert!(!refused.is_empty(), "the restarts were felt");
        assert!(refused.iter().all(|status| *status == 503), "only 503: {refused:?}");
        assert_eq!(load.unanswered(), 0, "every request was answered");
        let db = installation.db().await;
        jobs_end(&db, Duration::from_secs(30)).await;
        assert_delivered(&receiver, &tenant, &db).await;
        assert_kept(&tenant, &db, acknowledged).await;
        tenant.verify().await;
        assert_eq!(
            (api.process.ended(), worker.ended()),
            (None, None),
            "nobody was restarted"
        );
    });
}
