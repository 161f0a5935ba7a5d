//! A change of a thousand secrets tells the journal of each with a digest, which hardly gets smaller and takes PostgreSQL's own
//! method long to try. LZ4 is done with it at once. A server that was built without it goes on as before.

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
        match manager.get_database_backend() {
            DbBackend::Postgres => ddl::run(manager, POSTGRES).await,
            _ => Ok(()),
        }
    }
}

const POSTGRES: &[&str] = &["DO $$ BEGIN
        ALTER TABLE journal ALTER COLUMN data SET COMPRESSION lz4;
    EXCEPTION WHEN feature_not_supported THEN NULL;
    END $$"];
