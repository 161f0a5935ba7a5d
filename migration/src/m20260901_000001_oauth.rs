//! Signing keys; OAuth clients, what people let them do, codes, and devices that wait for approval.

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
    // `kid` is the thumbprint of the public key; the private one is sealed.
    "CREATE TABLE signing_keys (
        kid TEXT PRIMARY KEY,
        alg TEXT NOT NULL,
        sealed_private {bytes} NOT NULL,
        public_jwk TEXT NOT NULL,
        state TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        activated_at BIGINT,
        retired_at BIGINT
    )",
    // One key of an algorithm signs, and one waits.
    "CREATE UNIQUE INDEX signing_keys_turn ON signing_keys (alg, state) WHERE state <> 'retired'",
    "CREATE TABLE oauth_clients (
        id {uuid} PRIMARY KEY,
        owner_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        homepage TEXT,
        confidential BOOLEAN NOT NULL,
        redirect_uris TEXT NOT NULL,
        grant_types TEXT NOT NULL,
        scopes TEXT NOT NULL,
        signing_alg TEXT NOT NULL,
        disabled_at BIGINT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    "CREATE INDEX oauth_clients_owner ON oauth_clients (owner_id, created_at)",
    // What somebody let a client do. The tokens that come of it are credentials with its id as their family.
    "CREATE TABLE oauth_grants (
        id {uuid} PRIMARY KEY,
        client_id {uuid} NOT NULL,
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        org_id {uuid} REFERENCES orgs (id) ON DELETE CASCADE,
        scopes TEXT NOT NULL,
        nonce TEXT,
        auth_time BIGINT,
        amr TEXT,
        created_at BIGINT NOT NULL,
        ends_at BIGINT NOT NULL,
        revoked_at BIGINT
    )",
    "CREATE INDEX oauth_grants_user ON oauth_grants (user_id, client_id)",
    "CREATE TABLE oauth_codes (
        code_mac {bytes} PRIMARY KEY,
        grant_id {uuid} NOT NULL REFERENCES oauth_grants (id) ON DELETE CASCADE,
        client_id {uuid} NOT NULL,
        redirect_uri TEXT NOT NULL,
        code_challenge TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        used_at BIGINT
    )",
    "CREATE INDEX oauth_codes_expiry ON oauth_codes (expires_at)",
    "CREATE INDEX oauth_codes_grant ON oauth_codes (grant_id)",
    "CREATE TABLE oauth_devices (
        id {uuid} PRIMARY KEY,
        client_id {uuid} NOT NULL,
        client_name TEXT NOT NULL,
        device_mac {bytes} NOT NULL,
        user_code_mac {bytes} NOT NULL,
        scopes TEXT NOT NULL,
        ip TEXT,
        user_agent TEXT,
        state TEXT NOT NULL,
        grant_id {uuid},
        pause BIGINT NOT NULL,
        polled_at BIGINT,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX oauth_devices_device ON oauth_devices (device_mac)",
    "CREATE UNIQUE INDEX oauth_devices_code ON oauth_devices (user_code_mac)",
    "CREATE INDEX oauth_devices_expiry ON oauth_devices (expires_at)",
];
