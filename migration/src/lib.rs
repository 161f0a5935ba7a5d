//! The schema. Each migration freezes the tables that it makes; nothing here depends on the product's own types.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, TransactionTrait};

mod ddl;
mod m20260101_000001_tenants;
mod m20260101_000002_secrets;
mod m20260101_000003_journal_and_jobs;
mod m20260301_000001_identity;
mod m20260401_000001_secrets_engine;
mod m20260501_000001_invite_mails;
mod m20260501_000002_templates;
mod m20260501_000003_key_rotation;
mod m20260601_000001_webhooks;
mod m20260620_000001_access_epochs;
mod m20260701_000001_lanes;
mod m20260702_000001_webhook_key_pairs;
mod m20260801_000001_limits;
mod m20260802_000001_billing;
mod m20260901_000001_oauth;
mod m20260902_000001_federation;
mod m20260903_000001_realms;
mod m20261001_000001_dead_jobs;
mod m20261101_000001_request_metrics;
mod m20261201_000001_backups;
mod m20261210_000001_audit_retention;
mod m20261220_000001_job_traces;
mod m20261230_000001_queue_statistics;
mod m20270105_000001_jobs_of_webhooks;
mod m20270110_000001_job_leases;
mod m20270120_000001_journal_compression;
mod m20270125_000001_versions_of_revisions;

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20260101_000001_tenants::Migration),
            Box::new(m20260101_000002_secrets::Migration),
            Box::new(m20260101_000003_journal_and_jobs::Migration),
            Box::new(m20260301_000001_identity::Migration),
            Box::new(m20260401_000001_secrets_engine::Migration),
            Box::new(m20260501_000001_invite_mails::Migration),
            Box::new(m20260501_000002_templates::Migration),
            Box::new(m20260501_000003_key_rotation::Migration),
            Box::new(m20260601_000001_webhooks::Migration),
            Box::new(m20260620_000001_access_epochs::Migration),
            Box::new(m20260701_000001_lanes::Migration),
            Box::new(m20260702_000001_webhook_key_pairs::Migration),
            Box::new(m20260801_000001_limits::Migration),
            Box::new(m20260802_000001_billing::Migration),
            Box::new(m20260901_000001_oauth::Migration),
            Box::new(m20260902_000001_federation::Migration),
            Box::new(m20260903_000001_realms::Migration),
            Box::new(m20261001_000001_dead_jobs::Migration),
            Box::new(m20261101_000001_request_metrics::Migration),
            Box::new(m20261201_000001_backups::Migration),
            Box::new(m20261210_000001_audit_retention::Migration),
            Box::new(m20261220_000001_job_traces::Migration),
            Box::new(m20261230_000001_queue_statistics::Migration),
            Box::new(m20270105_000001_jobs_of_webhooks::Migration),
            Box::new(m20270110_000001_job_leases::Migration),
            Box::new(m20270120_000001_journal_compression::Migration),
            Box::new(m20270125_000001_versions_of_revisions::Migration),
        ]
    }
}

/// How many migrations this build knows.
pub fn known() -> usize {
    Migrator::migrations().len()
}

/// Their names, in the order in which they are applied.
pub fn names() -> Vec<String> {
    Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect()
}

/// Any number that no other advisory lock of this product uses.
const LOCK: i64 = 0x5354_524f_4e47;

/// Applies what is missing, one process at a time: sea-orm's migrator takes no lock of its own, and of four
/// processes that start at once three fail.
///
/// # Errors
/// The database's own; a failed migration leaves the schema as the last whole one left it.
pub async fn up_locked(db: &DatabaseConnection) -> Result<(), DbErr> {
    up_some_locked(db, None).await
}

/// Applies so many of those that are missing, or all.
///
/// # Errors
/// See [`up_locked`].
pub async fn up_some_locked(db: &DatabaseConnection, steps: Option<u32>) -> Result<(), DbErr> {
    match db.get_database_backend() {
        DbBackend::Postgres => {
            // A session lock would belong to one connection of the pool; a transaction's lock is held until it ends.
            let lock = db.begin().await?;
            let sql = "SELECT pg_advisory_xact_lock($1)";
            lock.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [LOCK.into()]))
                .await?;
            Migrator::up(db, steps).await?;
            lock.commit().await
        }
        // SQLite has one writer: the second process waits on the file and then finds nothing left to do, unless both
        // read the list of applied migrations before either wrote. Then the loser's CREATE fails and it looks again.
        _ => match Migrator::up(db, steps).await {
            Ok(()) => Ok(()),
            Err(first) => Migrator::up(db, steps).await.map_err(|_| first),
        },
    }
}
