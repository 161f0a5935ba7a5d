//! Identity and tenancy: second factors, codes, throttles, invitations, join policies, service-account limits.

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
    // A TOTP seed is sealed; a recovery code is a keyed hash. One live seed an account.
    "CREATE TABLE second_factors (
        id {uuid} PRIMARY KEY,
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        kind TEXT NOT NULL,
        sealed_secret {bytes},
        code_mac {bytes},
        last_step BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        confirmed_at BIGINT,
        used_at BIGINT
    )",
    "CREATE INDEX second_factors_user ON second_factors (user_id, kind)",
    "CREATE UNIQUE INDEX second_factors_code ON second_factors (code_mac)",
    // What a session was opened with: a JSON list of `pwd`, `code`, `otp`, `recovery`.
    "ALTER TABLE credentials ADD COLUMN amr TEXT",
    // A challenge may concern an address that has no account; it is bound to whoever asked by a token of its own.
    "ALTER TABLE challenges ADD COLUMN email TEXT",
    "ALTER TABLE challenges ADD COLUMN binding_mac {bytes}",
    "ALTER TABLE challenges ADD COLUMN payload TEXT",
    "CREATE UNIQUE INDEX challenges_binding ON challenges (binding_mac)",
    "CREATE INDEX challenges_email ON challenges (email, purpose)",
    "CREATE INDEX challenges_email_id ON challenges (email_id, purpose)",
    // An address that nobody has proved may be claimed by many; it is taken by whoever verified it or has it as default.
    "DROP INDEX user_emails_canonical",
    "CREATE UNIQUE INDEX user_emails_taken ON user_emails (realm_id, canonical) WHERE is_primary OR verified_at IS NOT NULL",
    "CREATE UNIQUE INDEX user_emails_own ON user_emails (canonical, user_id)",
    "CREATE UNIQUE INDEX user_emails_primary ON user_emails (user_id) WHERE is_primary",
    // Failures by a keyed hash of what was tried, so that known and unknown names are slowed alike.
    "CREATE TABLE throttles (
        subject_mac {bytes} PRIMARY KEY,
        failures INTEGER NOT NULL,
        last_at BIGINT NOT NULL,
        blocked_until BIGINT
    )",
    "ALTER TABLE mails ADD COLUMN address TEXT",
    "ALTER TABLE mails ADD COLUMN challenge_id {uuid}",
    "CREATE INDEX mails_challenge ON mails (challenge_id)",
    "ALTER TABLE mails ADD COLUMN invite_id {uuid}",
    "ALTER TABLE mails ADD COLUMN data TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE orgs ADD COLUMN join_domains TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE orgs ADD COLUMN join_role_id {uuid}",
    "ALTER TABLE projects ADD COLUMN join_policy TEXT NOT NULL DEFAULT 'closed'",
    "ALTER TABLE projects ADD COLUMN join_role_id {uuid}",
    "CREATE TABLE invites (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        project_id {uuid} REFERENCES projects (id) ON DELETE CASCADE,
        scope_id {uuid} NOT NULL,
        address TEXT,
        canonical TEXT,
        role_id {uuid} NOT NULL,
        env_classes TEXT,
        token_mac {bytes} NOT NULL,
        max_uses INTEGER NOT NULL,
        uses INTEGER NOT NULL,
        invited_by {uuid} NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        revoked_at BIGINT
    )",
    "CREATE UNIQUE INDEX invites_token ON invites (token_mac)",
    "CREATE INDEX invites_scope ON invites (scope_id, created_at)",
    "CREATE INDEX invites_canonical ON invites (canonical)",
    "ALTER TABLE service_accounts ADD COLUMN description TEXT NOT NULL DEFAULT ''",
    // A JSON list of addresses and CIDR ranges that its keys work from; empty = anywhere.
    "ALTER TABLE service_accounts ADD COLUMN ip_allow TEXT NOT NULL DEFAULT '[]'",
];
