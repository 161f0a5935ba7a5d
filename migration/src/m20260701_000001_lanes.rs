//! Webhooks have a rate and an order; their health has a breaker; jobs know the place of their event.

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
    "ALTER TABLE webhooks ADD COLUMN ordered BOOLEAN NOT NULL DEFAULT FALSE",
    // So many deliveries a `second` or a `minute`; without both there is no limit.
    "ALTER TABLE webhooks ADD COLUMN rate_deliveries INTEGER",
    "ALTER TABLE webhooks ADD COLUMN rate_per TEXT",
    // Attempts since the last success that found nobody.
    "ALTER TABLE webhook_health ADD COLUMN unreachable BIGINT NOT NULL DEFAULT 0",
    // How often the breaker has opened since the last success, and until when it is open. Beyond that one delivery is
    // let through.
    "ALTER TABLE webhook_health ADD COLUMN breaker_step INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE webhook_health ADD COLUMN breaker_until BIGINT",
    // The earliest instant at which the rate lets another delivery begin.
    "ALTER TABLE webhook_health ADD COLUMN rate_at BIGINT",
    // The number of the job's event in its journal; 0 for a job without one.
    "ALTER TABLE jobs ADD COLUMN seq BIGINT NOT NULL DEFAULT 0",
    "UPDATE jobs SET seq = (SELECT j.seq FROM journal j WHERE j.id = jobs.event_id)
     WHERE state < 2 AND EXISTS (SELECT 1 FROM journal j WHERE j.id = jobs.event_id)",
    // Whether its run was begun, noted for a job over which a worker may have died: others were claimed at the same time.
    "ALTER TABLE jobs ADD COLUMN begun BOOLEAN NOT NULL DEFAULT FALSE",
    // The head of a lane in the order of events. It also tells whether a lane has a job under way.
    "CREATE INDEX jobs_open ON jobs (lane, seq, id) WHERE state < 2",
    "DROP INDEX jobs_running",
];
