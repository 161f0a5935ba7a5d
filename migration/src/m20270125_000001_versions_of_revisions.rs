//! A version knows the revision that stored it, and of a secret's key is told from which revision on it has it. So a new value of a
//! thousand secrets is a row for each, and not two: that it was stored is told by the version, and by the change set of the
//! revision, which is a text in its row. And a secret knows of its newest version what a change has to ask of it.
//!
//! APIs of the version before cannot change secrets any more, nor read the past. What they would write, nobody would find.

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
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        // Rows that are there have to hold something until they are filled.
        let none = if is_postgres { "''" } else { "x''" };
        let fingerprint = format!("ALTER TABLE secrets ADD COLUMN fingerprint {{bytes}} NOT NULL DEFAULT {none}");
        ddl::run(manager, &[fingerprint.as_str()]).await?;
        ddl::run(manager, UP).await?;
        ddl::run(manager, if is_postgres { POSTGRES } else { &[] }).await
    }
}

const UP: &[&str] = &[
    "ALTER TABLE secrets ADD COLUMN has_comment BOOLEAN NOT NULL DEFAULT FALSE",
    "UPDATE secrets SET fingerprint = v.fingerprint, has_comment = (v.sealed_comment IS NOT NULL)
     FROM secret_versions v WHERE v.secret_id = secrets.id AND v.version = secrets.version",
    // Which key a secret has from a revision on; none, once it is deleted.
    "CREATE TABLE secret_keys (
        secret_id {uuid} NOT NULL REFERENCES secrets (id) ON DELETE CASCADE,
        revision BIGINT NOT NULL,
        key {ascii},
        PRIMARY KEY (secret_id, revision)
    )",
    "INSERT INTO secret_keys (secret_id, revision, key)
     SELECT secret_id, revision, CASE WHEN action = 'deleted' THEN NULL ELSE key END
     FROM environment_changes WHERE action <> 'updated'",
    "ALTER TABLE secret_versions ADD COLUMN revision BIGINT NOT NULL DEFAULT 0",
    "UPDATE secret_versions SET revision = c.revision
     FROM (SELECT secret_id, version, MIN(revision) AS revision FROM environment_changes GROUP BY secret_id, version) c
     WHERE c.secret_id = secret_versions.secret_id AND c.version = secret_versions.version",
    // Whoever watches an environment is told by it. Older revisions have none: who is as far behind reads everything.
    "ALTER TABLE environment_revisions ADD COLUMN change_set TEXT",
    "DROP TABLE environment_changes",
];

const POSTGRES: &[&str] = &[
    "ALTER TABLE secret_versions ALTER COLUMN revision DROP DEFAULT",
    "ALTER TABLE secrets ALTER COLUMN fingerprint DROP DEFAULT, ALTER COLUMN has_comment DROP DEFAULT",
    // A secret's row is written anew with each value. With room beside it, it stays on its page and out of the indexes.
    "ALTER TABLE secrets SET (fillfactor = 40)",
    // As the journal's: quick to try, where a thousand keys hardly get smaller.
    "DO $$ BEGIN
        ALTER TABLE environment_revisions ALTER COLUMN change_set SET COMPRESSION lz4;
    EXCEPTION WHEN feature_not_supported THEN NULL;
    END $$",
];
