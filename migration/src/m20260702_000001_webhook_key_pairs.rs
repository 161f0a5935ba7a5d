//! Beside each signing secret of a webhook stands a key pair, whose public half anybody may know.

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
    // Secrets of before have none: a key cannot be sealed here. The next rotation brings one.
    "ALTER TABLE webhook_secrets ADD COLUMN sealed_key {bytes}",
    "ALTER TABLE webhook_secrets ADD COLUMN public_key TEXT",
];
