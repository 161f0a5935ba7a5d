//! What was there before an upgrade goes on after it.

use domain::jobs;
use domain::kernel::{Db, Reads};
use harness::{Backend, on_each_backend};
use sea_orm::ConnectionTrait;
use tempfile::TempDir;

use crate::backups::empty;

/// A database as it was just before one of the migrations.
async fn before(migration: &str, backend: Backend, folder: &TempDir) -> Db {
    let (_, db) = empty(backend, folder, "old.db").await;
    let applied = migration::names().iter().position(|name| name == migration);
    let steps = applied.expect("a migration of this name");
    db.migrate_some(u32::try_from(steps).expect("a count"))
        .await
        .expect("an old schema");
    db
}

async fn run(db: &Db, sql: &str) {
    let tx = db.begin_write().await.expect("a transaction");
    tx.conn().execute_raw(tx.sql(sql, [])).await.expect(sql);
    tx.commit_bookkeeping().await.expect("commit");
}

async fn text(db: &Db, sql: &str) -> String {
    let row = db.conn().query_one_raw(db.sql(sql, [])).await.expect(sql);
    row.expect("a row").try_get_by_index(0).expect("a text")
}

on_each_backend! {
    async fn a_job_that_ran_stays_its_workers_and_the_others_can_be_had(backend: Backend) {
        let folder = TempDir::new().expect("a folder");
        let db = before("m20270110_000001_job_leases", backend, &folder).await;
        let hex = |n: u32| match backend {
            Backend::Postgres => format!("'00000000-0000-0000-0000-{n:012}'"),
            Backend::Sqlite => format!("x'{n:032}'"),
        };
        let until = db.queue_now().micros() + 60_000_000;
        for (n, state, attempt, lease, lease_until, worker) in [
            (1, 1, 2, hex(9), until.to_string(), "'worker-of-before'"),
            (2, 0, 1, "NULL".to_owned(), "NULL".to_owned(), "NULL"),
        ] {
            let job = format!(
                "INSERT INTO jobs (id, kind, lane, payload, idempotency_key, state, attempt, max_attempts, crashes, cause,
                    next_at, lease_id, lease_until, worker, begun, created_at)
                 VALUES ({}, 'mail', 'mail:example.com', '{{}}', 'key-{n}', {state}, {attempt}, 10, 0, 'event',
                    0, {lease}, {lease_until}, {worker}, FALSE, 0)",
                hex(n)
            );
            run(&db, &job).await;
        }

        db.migrate().await.expect("the schema of today");
        let lease = "SELECT worker || ' ' || CAST(lease_until AS TEXT) FROM job_leases";
        assert_eq!(text(&db, lease).await, format!("worker-of-before {until}"));
        let states = format!(
            "SELECT CAST(a.state AS TEXT) || CAST(a.attempt AS TEXT) || ' ' || CAST(b.state AS TEXT) || CAST(b.attempt AS TEXT)
             FROM jobs a, jobs b WHERE a.id = {} AND b.id = {}",
            hex(1),
            hex(2)
        );
        assert_eq!(text(&db, &states).await, "01 01", "a try counts when it has ended");
        let claim = jobs::claim(&db, &[("mail:example.com".to_owned(), 10)], "worker-of-today").await;
        let claimed: Vec<_> = claim.expect("a claim").jobs.into_iter().map(|job| job.id.0.as_u128()).collect();
        assert_eq!(claimed, [2]);

        run(&db, "UPDATE job_leases SET lease_until = 0 WHERE worker = 'worker-of-before'").await;
        let _ = jobs::sweep(&db).await.expect("a sweep");
        let claim = jobs::claim(&db, &[("mail:example.com".to_owned(), 10)], "worker-of-today").await;
        let claimed: Vec<_> = claim.expect("a claim").jobs.into_iter().map(|job| job.id.0.as_u128()).collect();
        assert_eq!(claimed, [1], "as from any worker that does not come back");
    }
}
