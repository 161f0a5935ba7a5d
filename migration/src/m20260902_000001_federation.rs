//! Single sign-on with other identity providers, and tokens of other issuers that stand for service accounts.

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
    // The instance's provider has the id of zeros, an organisation's has that of the organisation: one each.
    "CREATE TABLE sso_providers (
        id {uuid} PRIMARY KEY,
        org_id {uuid} REFERENCES orgs (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        enabled BOOLEAN NOT NULL,
        issuer TEXT NOT NULL,
        client_id TEXT NOT NULL,
        sealed_secret {bytes},
        discovery BOOLEAN NOT NULL,
        authorization_endpoint TEXT,
        token_endpoint TEXT,
        userinfo_endpoint TEXT,
        jwks_uri TEXT,
        end_session_endpoint TEXT,
        scopes TEXT NOT NULL,
        create_unknown_user BOOLEAN NOT NULL,
        allowed_domains TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    // The issuer is part of who somebody is: another issuer's subject of the same name is somebody else.
    "CREATE TABLE sso_identities (
        id {uuid} PRIMARY KEY,
        provider_id {uuid} NOT NULL REFERENCES sso_providers (id) ON DELETE CASCADE,
        issuer TEXT NOT NULL,
        subject TEXT NOT NULL,
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        email TEXT,
        created_at BIGINT NOT NULL,
        last_used_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX sso_identities_subject ON sso_identities (provider_id, issuer, subject)",
    "CREATE INDEX sso_identities_user ON sso_identities (user_id)",
    // A way to a provider that somebody is on. What proves it on the way back is in the browser alone.
    "CREATE TABLE sso_attempts (
        state_mac {bytes} PRIMARY KEY,
        browser_mac {bytes} NOT NULL,
        provider_id {uuid} NOT NULL REFERENCES sso_providers (id) ON DELETE CASCADE,
        purpose TEXT NOT NULL,
        user_id {uuid},
        next TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        used_at BIGINT
    )",
    "CREATE INDEX sso_attempts_expiry ON sso_attempts (expires_at)",
    // Which provider a session came from, so that signing out can end that one's too.
    "CREATE TABLE sso_sessions (
        family_id {uuid} PRIMARY KEY,
        provider_id {uuid} NOT NULL REFERENCES sso_providers (id) ON DELETE CASCADE,
        created_at BIGINT NOT NULL
    )",
    "CREATE TABLE federated_identities (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        service_account_id {uuid} NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        issuer TEXT NOT NULL,
        jwks_uri TEXT,
        audience TEXT NOT NULL,
        claims TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        last_used_at BIGINT
    )",
    "CREATE INDEX federated_identities_account ON federated_identities (service_account_id, created_at)",
    // Tokens that were traded, until they have ended: each is good once.
    "CREATE TABLE used_assertions (
        digest {bytes} PRIMARY KEY,
        expires_at BIGINT NOT NULL
    )",
    "CREATE INDEX used_assertions_expiry ON used_assertions (expires_at)",
];
