//! Backups: where each stands, what its file is, and what it was last restored into.

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
    "CREATE TABLE backups (
        id {uuid} PRIMARY KEY,
        state TEXT NOT NULL,
        cause TEXT NOT NULL,
        requested_by {uuid},
        source TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        started_at BIGINT,
        completed_at BIGINT,
        rows_done BIGINT NOT NULL,
        rows_total BIGINT,
        size_bytes BIGINT,
        sha256 {bytes},
        key_id TEXT,
        last_verified_at BIGINT,
        problem TEXT,
        restore_state TEXT,
        restore_database TEXT,
        restored_at BIGINT,
        restore_problem TEXT
    )",
    "CREATE INDEX backups_created ON backups (created_at, id)",
];
