//! Jobs carry the trace that made them.

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
    // W3C's `traceparent`; null while nobody traces.
    "ALTER TABLE jobs ADD COLUMN traceparent TEXT",
];
