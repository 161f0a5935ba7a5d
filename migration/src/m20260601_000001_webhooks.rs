//! Webhooks have a health, options and recoveries.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await?;
        if manager.get_database_backend() == sea_orm_migration::sea_orm::DbBackend::Postgres {
            // A row is updated with every batch of results: room on the page for it.
            ddl::run(manager, &["ALTER TABLE webhook_health SET (fillfactor = 50)"]).await?;
        }
        Ok(())
    }
}

const UP: &[&str] = &[
    "ALTER TABLE webhooks ADD COLUMN hash_key_names BOOLEAN NOT NULL DEFAULT FALSE",
    // `gone` or `failing` when it was switched off by itself.
    "ALTER TABLE webhooks ADD COLUMN disabled_reason TEXT",
    // The secret of the making, under which the names of keys are hashed. So far each webhook has no other.
    "ALTER TABLE webhook_secrets ADD COLUMN hashes_names BOOLEAN NOT NULL DEFAULT FALSE",
    "UPDATE webhook_secrets SET hashes_names = TRUE",
    // Apart from the webhooks, so that results never lock the rows that every change reads.
    "CREATE TABLE webhook_health (
        webhook_id {uuid} PRIMARY KEY REFERENCES webhooks (id) ON DELETE CASCADE,
        last_success_at BIGINT,
        last_failure_at BIGINT,
        consecutive_failures BIGINT NOT NULL,
        failing_since BIGINT
    )",
    "CREATE TABLE webhook_recoveries (
        id {uuid} PRIMARY KEY,
        webhook_id {uuid} NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
        org_id {uuid} NOT NULL,
        mode TEXT NOT NULL,
        since BIGINT NOT NULL,
        until BIGINT,
        at_seq BIGINT NOT NULL,
        end_seq BIGINT NOT NULL,
        emitted BIGINT NOT NULL,
        state TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        done_at BIGINT
    )",
    // Two at once would deliver twice.
    "CREATE UNIQUE INDEX webhook_recoveries_running ON webhook_recoveries (webhook_id) WHERE state = 'running'",
    "CREATE INDEX webhook_recoveries_webhook ON webhook_recoveries (webhook_id, created_at)",
    // Which deliveries an event had to a webhook.
    "CREATE INDEX jobs_webhook_event ON jobs (webhook_id, event_id)",
];
