//! How long the audit log is kept: where the chain of a ledger begins whose oldest events are gone, and what they told of
//! stored secrets. Limits of plans that have ended stay, so that it is known since when another counts.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await
    }
}

const UP: &[&str] = &[
    // When it was taken back; NULL while it counts.
    "ALTER TABLE plan_limits ADD COLUMN ended_at BIGINT",
    // Number and hash of the last event that is gone, and a sum over the ledger's rows of the next table.
    "CREATE TABLE journal_anchors (
        ledger_id {uuid} PRIMARY KEY,
        seq BIGINT NOT NULL,
        hash {bytes} NOT NULL,
        seals {bytes} NOT NULL,
        moved_at BIGINT NOT NULL
    )",
    // What events that are gone told of each version of a secret: the digest of its sealed value, NULL once that was
    // destroyed; whether it was the last version, and deleted; and which event said so.
    "CREATE TABLE journal_seals (
        ledger_id {uuid} NOT NULL,
        secret_id {uuid} NOT NULL,
        version BIGINT NOT NULL,
        project_id {uuid} NOT NULL,
        digest {bytes},
        seq BIGINT NOT NULL,
        is_last BOOLEAN NOT NULL,
        is_deleted BOOLEAN NOT NULL,
        PRIMARY KEY (ledger_id, secret_id, version)
    )",
    "CREATE INDEX journal_seals_project ON journal_seals (ledger_id, project_id, secret_id, version)",
];
