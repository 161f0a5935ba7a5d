//! Environments as history: who made each revision, named pins, keys that can be freed by a rename.

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
    // A deleted secret keeps its key for its history, and leaves it free for another: one that is renamed to it.
    "DROP INDEX secrets_key",
    "CREATE UNIQUE INDEX secrets_live_key ON secrets (environment_id, key) WHERE deleted_at IS NULL",
    "CREATE INDEX secrets_key ON secrets (environment_id, key)",
    "CREATE INDEX environment_changes_secret ON environment_changes (environment_id, secret_id, revision)",
    "CREATE TABLE environment_revisions (
        environment_id {uuid} NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
        revision BIGINT NOT NULL,
        action TEXT NOT NULL,
        changes BIGINT NOT NULL,
        author_type TEXT NOT NULL,
        author_id {uuid} NOT NULL,
        author_label TEXT,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (environment_id, revision)
    )",
    // Revisions of before were of one secret each.
    "INSERT INTO environment_revisions (environment_id, revision, action, changes, author_type, author_id, author_label, created_at)
        SELECT c.environment_id, c.revision, 'secret.' || c.action, 1, v.created_by_type, v.created_by_id, NULL, c.created_at
        FROM environment_changes c JOIN secret_versions v ON v.secret_id = c.secret_id AND v.version = c.version",
    "CREATE TABLE revision_pins (
        environment_id {uuid} NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        revision BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (environment_id, name)
    )",
];
