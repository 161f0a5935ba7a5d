//! What the queue costs PostgreSQL when its statistics are old, as those of a queue are: they were gathered while nothing
//! waited, and then much came at once.

use std::time::Duration;

use domain::jobs::{self, AttemptLog, Finished, Verdict};
use domain::kernel::{Clock, Db, Reads, Rng};
use harness::app::{postgres_database, run};
use harness::processes::{number, sql};

/// Jobs that have ended, and as many that are ready.
const JOBS: usize = 20_000;
/// Lanes that they are in.
const LANES: usize = 32;
/// Jobs that are claimed: four of each lane.
const CLAIMED: usize = 128;
/// Pages that all of it may look at. Along the indexes that were made for it, it is some 7,000; walking over what is ready
/// for each lane, some 60,000.
const PAGES: i64 = 15_000;

async fn connect(url: &str) -> Db {
    Db::connect(url, Clock::system(), Rng::system())
        .await
        .expect("connect to PostgreSQL")
}

/// Makes jobs of one state, due long since.
async fn fill(db: &Db, state: i32) {
    let statement = format!(
        "INSERT INTO jobs (id, kind, lane, payload, idempotency_key, state, attempt, max_attempts, crashes, cause, next_at, created_at)
         SELECT gen_random_uuid(), 'mail', 'mail:' || n % {LANES}, '{{}}', '{state}:' || n, {state}, 0, 10, 0, 'event', n, n
         FROM generate_series(1, {JOBS}) n"
    );
    sql(db, &statement).await;
}

/// Pages of jobs, and of their indexes, that connections which are closed have looked at.
async fn pages(url: &str) -> i64 {
    let db = connect(url).await;
    let query = "SELECT CAST(SUM(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read) AS BIGINT)
        FROM pg_statio_user_tables WHERE relname IN ('jobs', 'job_leases')";
    let mut seen = number(&db, query).await;
    loop {
        // A connection tells what it did after it was closed.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = number(&db, query).await;
        if now == seen {
            break;
        }
        seen = now;
    }
    db.close().await;
    seen
}

/// Claims some jobs of every lane, looks for more, and writes down that they went well.
async fn work(db: &Db) {
    let asked: Vec<(String, u32)> = (0..LANES).map(|lane| (format!("mail:{lane}"), 4)).collect();
    let claim = jobs::claim(db, &asked, "worker").await.expect("claim");
    assert_eq!(claim.jobs.len(), CLAIMED);
    let sweep = jobs::sweep(db).await.expect("sweep");
    assert_eq!(sweep.due_lanes.len(), LANES);
    let done = claim.jobs.iter().map(|job| Finished {
        job_id: job.id,
        lease_id: job.lease_id,
        n: job.attempt,
        started_at: db.now(),
        verdict: Verdict::Done,
        is_trial: false,
        log: AttemptLog {
            outcome: "ok",
            ..AttemptLog::default()
        },
    });
    let done: Vec<Finished> = done.collect();
    let stale = jobs::finish(db, "worker", &done).await.expect("finish");
    assert_eq!(stale, 0);
}

#[test]
fn a_claim_looks_at_what_it_takes_and_not_at_all_that_is_ready() {
    run(async {
        let url = postgres_database().await;
        let db = connect(&url).await;
        sql(&db, "ALTER TABLE jobs SET (autovacuum_enabled = off)").await;
        fill(&db, 2).await;
        sql(&db, "ANALYZE jobs").await;
        fill(&db, 0).await;
        db.close().await;
        let before = pages(&url).await;
        let db = connect(&url).await;
        work(&db).await;
        db.close().await;
        let looked_at = pages(&url).await - before;
        assert!(looked_at > 0, "the pages are counted");
        assert!(looked_at < PAGES, "{looked_at} pages");
    });
}
