//! Leases get a table of their own, and a job that runs stays what it was in the queue. To claim a job and to give it back
//! was to write its row anew, and with it an entry in each of six indexes as large as the queue; now it is one row in a small
//! table.
//!
//! Which deliveries an event had is told by the keys of those, which begin with the event: the index on both goes.
//!
//! The old columns stay for one release, because APIs of the version before name them when they make jobs. Nothing reads them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await?;
        match manager.get_database_backend() {
            DbBackend::Postgres => ddl::run(manager, POSTGRES).await,
            _ => Ok(()),
        }
    }
}

const UP: &[&str] = &[
    "CREATE TABLE job_leases (
        job_id {uuid} PRIMARY KEY,
        lease_id {uuid} NOT NULL,
        lease_until BIGINT NOT NULL,
        worker TEXT NOT NULL,
        begun BOOLEAN NOT NULL
    )",
    "INSERT INTO job_leases (job_id, lease_id, lease_until, worker, begun)
     SELECT id, lease_id, lease_until, COALESCE(worker, ''), begun FROM jobs
     WHERE state = 1 AND lease_id IS NOT NULL AND lease_until IS NOT NULL",
    // A try counts when it has ended.
    "UPDATE jobs SET state = 0, attempt = attempt - 1 WHERE state = 1",
    "DROP INDEX jobs_leases",
    "DROP INDEX jobs_webhook_event",
];

const POSTGRES: &[&str] = &[
    // Keeps out workers of the version before, which do not see leases and would take what is taken.
    "ALTER TABLE jobs ADD CONSTRAINT jobs_run_by_lease CHECK (state <> 1) NOT VALID",
    // What begins with the same bytes stands together.
    "ALTER TABLE jobs ALTER COLUMN idempotency_key TYPE {ascii}",
    // As many rows come and go as there are jobs. The table keeps its size, so that nobody waits while it shrinks.
    "ALTER TABLE job_leases SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        vacuum_truncate = off)",
];
