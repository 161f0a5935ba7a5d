//! Data keys have a life: they are replaced, emptied and destroyed, and what they seal is counted.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await?;
        if manager.get_database_backend() == sea_orm_migration::sea_orm::DbBackend::Postgres {
            // The row of a busy project's key is updated again and again: room on the page for it.
            ddl::run(manager, &["ALTER TABLE data_keys SET (fillfactor = 50)"]).await?;
        }
        Ok(())
    }
}

const UP: &[&str] = &[
    // How many texts were sealed under the key, and how many versions of it did not open when they were to be sealed
    // anew. No index on either: they change with every write, and PostgreSQL then keeps the update on the page.
    "ALTER TABLE data_keys ADD COLUMN seals BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE data_keys ADD COLUMN failed BIGINT NOT NULL DEFAULT 0",
    // When nothing was sealed under it any more, and when its bytes were wiped; the row stays as history.
    "ALTER TABLE data_keys ADD COLUMN emptied_at BIGINT",
    "ALTER TABLE data_keys ADD COLUMN destroyed_at BIGINT",
    "CREATE INDEX data_keys_root ON data_keys (root_key_id)",
    "CREATE INDEX data_keys_retiring ON data_keys (scope_id) WHERE state = 'retiring'",
    // A blob names its key in bytes 2 to 17. The index reads it there, so that no column can disagree with the blob.
    "CREATE INDEX secret_versions_data_key ON secret_versions (substr(sealed_value, 2, 16), secret_id, version)",
    "CREATE INDEX environments_project ON environments (project_id)",
    // The keys of before have sealed at least what is stored.
    "UPDATE data_keys SET seals = (
        SELECT COUNT(v.sealed_value) + COUNT(v.sealed_comment)
        FROM environments e JOIN secrets s ON s.environment_id = e.id JOIN secret_versions v ON v.secret_id = s.id
        WHERE e.project_id = data_keys.scope_id)
     WHERE purpose = 'data' AND scope_id IN (SELECT id FROM projects)",
];
