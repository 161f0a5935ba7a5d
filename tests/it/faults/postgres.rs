//! PostgreSQL goes away and comes back under load, or cuts every connection.

use std::time::Duration;

use harness::Receiver;
use harness::processes::{self, Installation, Tenant, number, within};
use harness::servers::{Postgres, Redis};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};

use super::load::{Load, assert_kept};
use super::{assert_delivered, jobs_end, seconds};

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

/// A connection to another database of the server, which nobody cuts.
pub async fn outside(postgres: &Postgres) -> DatabaseConnection {
    let mut options = ConnectOptions::new(postgres.url("template1"));
    options.max_connections(1).sqlx_logging(false);
    Database::connect(options).await.expect("connect to PostgreSQL")
}

#[test]
fn connections_cut_in_the_middle_of_results_leave_nothing_half_done() {
    processes::run(async {
        let (postgres, redis) = (Postgres::start(), Redis::start());
        let installation = Installation::scaled(&postgres.url("postgres"), &redis.url());
        let (api, worker) = tokio::join!(installation.api(), installation.worker());
        let receiver = Receiver::start().await;
        let tenant = Tenant::create(&api.url, "acme", Some(&receiver)).await;
        let load = Load::new(&tenant, &api.url);
        let cuts = seconds().map_or(20, |_| 200);
        let writers = load.start(8, cuts * 5);
        let outside = outside(&postgres).await;
        // Whatever a connection was about: a change, a claim, or the results of a batch.
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'postgres'";
        for n in 1..=cuts {
            within(Duration::from_secs(30), "the writers go on", || async {
                load.done() >= n * 20
            })
            .await;
            outside.execute_unprepared(cut).await.expect("cut every connection");
        }
        let acknowledged = writers.join_all().await;
        let refused = load.refused();
        assert!(!refused.is_empty(), "the cuts were felt");
        assert!(refused.iter().all(|status| *status == 503), "only 503: {refused:?}");
        assert_eq!(load.unanswered(), 0, "every request was answered");
        let db = installation.db().await;
        jobs_end(&db, Duration::from_secs(30)).await;
        let repeated = assert_delivered(&receiver, &tenant, &db).await;
        println!("{cuts} cuts: {repeated} events came twice");
        // A result whose commit was cut is written once more; one that was not committed is not lost either.
        let unlogged = "SELECT COUNT(*) FROM jobs WHERE state = 2 AND NOT EXISTS (
            SELECT 1 FROM job_attempts a WHERE a.job_id = jobs.id AND a.outcome = 'ok')";
        assert_eq!(number(&db, unlogged).await, 0, "what is done has its attempt");
        assert_kept(&tenant, &db, acknowledged).await;
        tenant.verify().await;
        assert_eq!(
            (api.process.ended(), worker.ended()),
            (None, None),
            "nobody was restarted"
        );
    });
}
