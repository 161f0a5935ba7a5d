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

/// An id as SQL.
fn id(backend: Backend, n: u32) -> String {
    match backend {
        Backend::Postgres => format!("'00000000-0000-0000-0000-{n:012}'"),
        Backend::Sqlite => format!("x'{n:032}'"),
    }
}

/// Bytes as SQL.
fn bytes(backend: Backend, hex: &str) -> String {
    match backend {
        Backend::Postgres => format!("'\\x{hex}'"),
        Backend::Sqlite => format!("x'{hex}'"),
    }
}

on_each_backend! {
    async fn the_history_of_secrets_is_the_same_after_it_is_kept_otherwise(backend: Backend) {
        let folder = TempDir::new().expect("a folder");
        let db = before("m20270125_000001_versions_of_revisions", backend, &folder).await;
        let (org, project, env, user) = (id(backend, 1), id(backend, 2), id(backend, 3), id(backend, 4));
        for sql in [
            format!("INSERT INTO orgs (id, slug, name, is_personal, plan, join_policy, require_mfa, metadata, created_at, updated_at)
                VALUES ({org}, 'acme', 'Acme', FALSE, 'self_hosted', 'closed', FALSE, '{{}}', 0, 0)"),
            format!("INSERT INTO projects (id, org_id, slug, name, description, created_at, updated_at)
                VALUES ({project}, {org}, 'web', 'Web', '', 0, 0)"),
            format!("INSERT INTO environments (id, org_id, project_id, slug, name, class, protected, position, revision, created_at, updated_at)
                VALUES ({env}, {org}, {project}, 'production', 'Production', 'prod', FALSE, 0, 6, 0, 0)"),
        ] {
            run(&db, &sql).await;
        }
        // One is stored twice and renamed, the other deleted and brought back.
        for (secret, key, version, deleted) in [(11, "NEW", 2, "NULL"), (12, "B", 1, "NULL"), (13, "C", 1, "9")] {
            let secret = id(backend, secret);
            run(&db, &format!(
                "INSERT INTO secrets (id, org_id, project_id, environment_id, key, version, created_at, updated_at, deleted_at)
                 VALUES ({secret}, {org}, {project}, {env}, '{key}', {version}, 0, 0, {deleted})"
            )).await;
        }
        for (secret, version, print, comment) in [(11, 1, "0a", "NULL"), (11, 2, "0b", "value"), (12, 1, "0c", "NULL"), (13, 1, "0d", "NULL")] {
            let comment = if comment == "NULL" { comment.to_owned() } else { bytes(backend, "ff") };
            run(&db, &format!(
                "INSERT INTO secret_versions (secret_id, version, sealed_value, sealed_comment, fingerprint, created_by_type, created_by_id, created_at)
                 VALUES ({}, {version}, {}, {comment}, {}, 'user', {user}, 0)",
                id(backend, secret), bytes(backend, "01"), bytes(backend, print)
            )).await;
        }
        for (revision, secret, action, key, version) in [
            (1, 11, "created", "OLD", 1), (1, 12, "created", "B", 1), (2, 11, "updated", "OLD", 2), (3, 11, "renamed", "NEW", 2),
            (4, 12, "deleted", "B", 1), (5, 12, "restored", "B", 1), (5, 13, "created", "C", 1), (6, 13, "deleted", "C", 1),
        ] {
            run(&db, &format!(
                "INSERT INTO environment_changes (environment_id, revision, secret_id, action, key, version, created_at)
                 VALUES ({env}, {revision}, {}, '{action}', '{key}', {version}, 0)",
                id(backend, secret)
            )).await;
        }
        let revision = format!(
            "INSERT INTO environment_revisions (environment_id, revision, action, changes, author_type, author_id, created_at)
             VALUES ({env}, 1, 'secret.bulk_set', 2, 'user', {user}, 0)"
        );
        run(&db, &revision).await;

        db.migrate().await.expect("the schema of today");
        let count = |sql: String| {
            let db = &db;
            async move { text(db, &format!("SELECT CAST(COUNT(*) AS TEXT) FROM {sql}")).await }
        };
        for (secret, version, revision) in [(11, 1, 1), (11, 2, 2), (12, 1, 1), (13, 1, 5)] {
            let of = id(backend, secret);
            let versions = format!("secret_versions WHERE secret_id = {of} AND version = {version} AND revision = {revision}");
            assert_eq!(count(versions).await, "1", "version {version} of {secret}");
        }
        let keys = [(11, 1, "= 'OLD'"), (11, 3, "= 'NEW'"), (12, 1, "= 'B'"), (12, 4, "IS NULL"), (12, 5, "= 'B'"), (13, 5, "= 'C'"), (13, 6, "IS NULL")];
        for (secret, revision, key) in keys {
            let of = id(backend, secret);
            let from = format!("secret_keys WHERE secret_id = {of} AND revision = {revision} AND key {key}");
            assert_eq!(count(from).await, "1", "the key of {secret} from {revision} on");
        }
        assert_eq!(count("secret_keys".to_owned()).await, keys.len().to_string());
        for (secret, print, has_comment) in [(11, "0b", "has_comment"), (12, "0c", "NOT has_comment"), (13, "0d", "NOT has_comment")] {
            let (of, print) = (id(backend, secret), bytes(backend, print));
            let now = format!("secrets WHERE id = {of} AND fingerprint = {print} AND {has_comment}");
            assert_eq!(count(now).await, "1", "what {secret} tells of its newest version");
        }
        assert_eq!(count("environment_revisions WHERE change_set IS NULL".to_owned()).await, "1");
    }

    async fn a_job_that_ran_stays_its_workers_and_the_others_can_be_had(backend: Backend) {
        let folder = TempDir::new().expect("a folder");
        let db = before("m20270110_000001_job_leases", backend, &folder).await;
        let hex = |n| id(backend, n);
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
