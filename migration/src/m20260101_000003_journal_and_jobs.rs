//! The journal, the webhook endpoints that listen to it, and the jobs that carry its events out.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await?;
        if manager.get_database_backend() == sea_orm_migration::sea_orm::DbBackend::Postgres {
            // Job rows are updated twice in their life: room on the page keeps those updates off the indexes.
            ddl::run(manager, &["ALTER TABLE jobs SET (fillfactor = 70)"]).await?;
        }
        Ok(())
    }
}

const UP: &[&str] = &[
    // One append-only chain per ledger: an organisation, or an account for what concerns no organisation.
    "CREATE TABLE ledgers (
        id {uuid} PRIMARY KEY,
        seq BIGINT NOT NULL,
        hash {bytes} NOT NULL
    )",
    "CREATE TABLE journal (
        ledger_id {uuid} NOT NULL,
        seq BIGINT NOT NULL,
        id {uuid} NOT NULL,
        at BIGINT NOT NULL,
        action TEXT NOT NULL,
        actor_type TEXT NOT NULL,
        actor_id {uuid},
        actor_label TEXT,
        credential_id {uuid},
        target_type TEXT NOT NULL,
        target_id {uuid},
        project_id {uuid},
        environment_id {uuid},
        revision BIGINT,
        data TEXT NOT NULL,
        ip TEXT,
        user_agent TEXT,
        request_id TEXT,
        prev_hash {bytes} NOT NULL,
        hash {bytes} NOT NULL,
        PRIMARY KEY (ledger_id, seq)
    )",
    "CREATE UNIQUE INDEX journal_id ON journal (id)",
    "CREATE INDEX journal_action ON journal (ledger_id, action, seq)",
    "CREATE INDEX journal_actor ON journal (ledger_id, actor_id, seq)",
    "CREATE INDEX journal_project ON journal (ledger_id, project_id, seq)",
    "CREATE TABLE webhooks (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        url TEXT NOT NULL,
        description TEXT NOT NULL,
        events TEXT NOT NULL,
        filters TEXT NOT NULL,
        enabled BOOLEAN NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        deleted_at BIGINT
    )",
    "CREATE INDEX webhooks_org ON webhooks (org_id, created_at)",
    "CREATE TABLE webhook_secrets (
        id {uuid} PRIMARY KEY,
        webhook_id {uuid} NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
        org_id {uuid} NOT NULL,
        sealed {bytes} NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT
    )",
    "CREATE INDEX webhook_secrets_webhook ON webhook_secrets (webhook_id)",
    "CREATE TABLE mails (
        id {uuid} PRIMARY KEY,
        user_id {uuid} REFERENCES users (id) ON DELETE CASCADE,
        email_id {uuid} REFERENCES user_emails (id) ON DELETE CASCADE,
        template TEXT NOT NULL,
        created_at BIGINT NOT NULL
    )",
    "CREATE TABLE jobs (
        id {uuid} PRIMARY KEY,
        kind TEXT NOT NULL,
        lane {ascii} NOT NULL,
        org_id {uuid},
        webhook_id {uuid},
        event_id {uuid},
        payload TEXT NOT NULL,
        idempotency_key TEXT NOT NULL,
        state INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        max_attempts INTEGER NOT NULL,
        crashes INTEGER NOT NULL,
        cause TEXT NOT NULL,
        next_at BIGINT NOT NULL,
        lease_id {uuid},
        lease_until BIGINT,
        worker TEXT,
        last_outcome TEXT,
        created_at BIGINT NOT NULL,
        done_at BIGINT
    )",
    "CREATE UNIQUE INDEX jobs_idempotency ON jobs (kind, idempotency_key)",
    "CREATE INDEX jobs_ready ON jobs (lane, next_at, id) WHERE state = 0",
    "CREATE INDEX jobs_due ON jobs (next_at) WHERE state = 0",
    "CREATE INDEX jobs_leases ON jobs (lease_until) WHERE state = 1",
    "CREATE INDEX jobs_running ON jobs (lane) WHERE state = 1",
    "CREATE INDEX jobs_webhook ON jobs (webhook_id, created_at)",
    "CREATE TABLE job_attempts (
        id {uuid} PRIMARY KEY,
        job_id {uuid} NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
        n INTEGER NOT NULL,
        worker TEXT NOT NULL,
        started_at BIGINT NOT NULL,
        outcome TEXT NOT NULL,
        status INTEGER,
        dns_us BIGINT,
        connect_us BIGINT,
        first_byte_us BIGINT,
        total_us BIGINT,
        remote_ip TEXT,
        response_headers TEXT,
        response_body {bytes},
        error TEXT
    )",
    "CREATE INDEX job_attempts_job ON job_attempts (job_id, n)",
];
