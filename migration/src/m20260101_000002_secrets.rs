//! Keys, secrets, their versions, and the change set of every environment revision.

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
    // A known word under each root key: a wrong key is noticed before anything is written.
    "CREATE TABLE root_keys (
        id TEXT PRIMARY KEY,
        check_value {bytes} NOT NULL,
        created_at BIGINT NOT NULL
    )",
    // scope_id is a project, an organisation, or zero for the instance.
    "CREATE TABLE data_keys (
        id {uuid} PRIMARY KEY,
        scope_id {uuid} NOT NULL,
        purpose TEXT NOT NULL,
        generation INTEGER NOT NULL,
        state TEXT NOT NULL,
        root_key_id TEXT NOT NULL,
        wrapped {bytes} NOT NULL,
        created_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX data_keys_generation ON data_keys (scope_id, purpose, generation)",
    "CREATE TABLE secrets (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        project_id {uuid} NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
        environment_id {uuid} NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
        key {ascii} NOT NULL,
        version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        deleted_at BIGINT
    )",
    "CREATE UNIQUE INDEX secrets_key ON secrets (environment_id, key)",
    "CREATE TABLE secret_versions (
        secret_id {uuid} NOT NULL REFERENCES secrets (id) ON DELETE CASCADE,
        version BIGINT NOT NULL,
        sealed_value {bytes},
        sealed_comment {bytes},
        fingerprint {bytes} NOT NULL,
        created_by_type TEXT NOT NULL,
        created_by_id {uuid} NOT NULL,
        created_at BIGINT NOT NULL,
        destroyed_at BIGINT,
        PRIMARY KEY (secret_id, version)
    )",
    // The state of an environment at revision N is, for each secret, its last change at or before N.
    "CREATE TABLE environment_changes (
        environment_id {uuid} NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
        revision BIGINT NOT NULL,
        secret_id {uuid} NOT NULL,
        action TEXT NOT NULL,
        key TEXT NOT NULL,
        version BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (environment_id, revision, secret_id)
    )",
];
