//! Templates: the keys that the environments of a project must have, and whether protected environments are held to
//! them.

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
    "ALTER TABLE projects ADD COLUMN template_gate TEXT NOT NULL DEFAULT 'off'",
    // Environments and allowed values are lists of strings, as JSON.
    "CREATE TABLE template_keys (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        project_id {uuid} NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
        key {ascii} NOT NULL,
        description TEXT NOT NULL,
        required BOOLEAN NOT NULL,
        environments TEXT NOT NULL,
        pattern TEXT,
        allowed_values TEXT NOT NULL,
        min_length BIGINT,
        max_length BIGINT,
        default_value TEXT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX template_keys_key ON template_keys (project_id, key)",
];
