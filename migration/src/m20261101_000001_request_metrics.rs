//! Requests by hour, for the summary that the instance's administrators see.

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

// `times` is a histogram with fixed bounds: rows of one route add up bucket by bucket.
const UP: &[&str] = &["CREATE TABLE request_metrics (
        hour_at BIGINT NOT NULL,
        instance {uuid} NOT NULL,
        route TEXT NOT NULL,
        method TEXT NOT NULL,
        status_class BIGINT NOT NULL,
        requests BIGINT NOT NULL,
        sum_us BIGINT NOT NULL,
        max_us BIGINT NOT NULL,
        times {bytes} NOT NULL,
        PRIMARY KEY (hour_at, instance, route, method, status_class)
    )"];
