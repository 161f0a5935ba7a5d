//! PostgreSQL keeps no statistics of what moves in the queue. They would always be old: gathered while nothing waited,
//! they say that no job is ever ready, and then any index seems good enough for the few. A claim then walks over all that
//! is ready, for every lane, and so does every sweep. Without statistics the planner takes each condition to narrow things
//! down, and the index that answers most of them wins, however full the queue is.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DbBackend::Postgres => ddl::run(manager, UP).await,
            // SQLite has none unless somebody asks for them.
            _ => Ok(()),
        }
    }
}

const UP: &[&str] = &[
    // Forgets what was gathered so far; a type that stays as it is rewrites no row.
    "ALTER TABLE jobs
        ALTER COLUMN state TYPE INTEGER, ALTER COLUMN lane TYPE {ascii}, ALTER COLUMN next_at TYPE BIGINT,
        ALTER COLUMN lease_until TYPE BIGINT, ALTER COLUMN seq TYPE BIGINT",
    "ALTER TABLE jobs
        ALTER COLUMN state SET STATISTICS 0, ALTER COLUMN lane SET STATISTICS 0, ALTER COLUMN next_at SET STATISTICS 0,
        ALTER COLUMN lease_until SET STATISTICS 0, ALTER COLUMN seq SET STATISTICS 0",
];
