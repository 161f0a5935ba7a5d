//! Deliveries of an endpoint are listed by their ids, which are in the order of creation. Instants are not as good for that:
//! those of one transaction are the same, and an index full of equal keys is dear to change, and each delivery changes
//! twice.

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
    "CREATE INDEX jobs_of_webhook ON jobs (webhook_id, id)",
    "DROP INDEX jobs_webhook",
];
