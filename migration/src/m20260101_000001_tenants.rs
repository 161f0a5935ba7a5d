//! People, organisations, projects, environments, and who may do what.

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
    "CREATE TABLE users (
        id {uuid} PRIMARY KEY,
        realm_id {uuid} NOT NULL,
        username TEXT,
        first_name TEXT NOT NULL,
        last_name TEXT NOT NULL,
        password_hash TEXT,
        is_superuser BOOLEAN NOT NULL,
        disabled_at BIGINT,
        auth_epoch BIGINT NOT NULL,
        last_login_at BIGINT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX users_username ON users (realm_id, username)",
    "CREATE TABLE user_emails (
        id {uuid} PRIMARY KEY,
        user_id {uuid} NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        realm_id {uuid} NOT NULL,
        address TEXT NOT NULL,
        canonical TEXT NOT NULL,
        is_primary BOOLEAN NOT NULL,
        verified_at BIGINT,
        created_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX user_emails_canonical ON user_emails (realm_id, canonical)",
    "CREATE INDEX user_emails_user ON user_emails (user_id)",
    "CREATE TABLE orgs (
        id {uuid} PRIMARY KEY,
        slug TEXT NOT NULL,
        name TEXT NOT NULL,
        is_personal BOOLEAN NOT NULL,
        plan TEXT NOT NULL,
        join_policy TEXT NOT NULL,
        require_mfa BOOLEAN NOT NULL,
        metadata TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        deleted_at BIGINT
    )",
    "CREATE UNIQUE INDEX orgs_slug ON orgs (slug)",
    "CREATE TABLE projects (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        slug TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        archived_at BIGINT,
        deleted_at BIGINT
    )",
    "CREATE UNIQUE INDEX projects_slug ON projects (org_id, slug)",
    "CREATE TABLE environments (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        project_id {uuid} NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
        slug TEXT NOT NULL,
        name TEXT NOT NULL,
        class TEXT NOT NULL,
        protected BOOLEAN NOT NULL,
        position INTEGER NOT NULL,
        revision BIGINT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        deleted_at BIGINT
    )",
    // The slug of a deleted environment is free again; the deleted row keeps its history under its id.
    "CREATE UNIQUE INDEX environments_slug ON environments (project_id, slug) WHERE deleted_at IS NULL",
    "CREATE TABLE roles (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        level TEXT NOT NULL,
        audience TEXT NOT NULL,
        name TEXT NOT NULL,
        display_name TEXT NOT NULL,
        permissions TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX roles_name ON roles (org_id, level, name)",
    // scope_id is the project or else the organisation: a unique index does not compare NULLs.
    "CREATE TABLE memberships (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        project_id {uuid} REFERENCES projects (id) ON DELETE CASCADE,
        scope_id {uuid} NOT NULL,
        subject_type TEXT NOT NULL,
        subject_id {uuid} NOT NULL,
        role_id {uuid} NOT NULL,
        env_classes TEXT,
        granted_by {uuid},
        expires_at BIGINT,
        created_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX memberships_subject ON memberships (subject_id, org_id, scope_id, role_id)",
    "CREATE INDEX memberships_scope ON memberships (scope_id)",
    "CREATE TABLE acl_rules (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        subject_type TEXT NOT NULL,
        subject_id {uuid} NOT NULL,
        pattern_text TEXT NOT NULL,
        pattern TEXT NOT NULL,
        permissions TEXT NOT NULL,
        effect TEXT NOT NULL,
        created_by {uuid},
        expires_at BIGINT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX acl_rules_subject ON acl_rules (org_id, subject_id, pattern_text)",
    "CREATE TABLE service_accounts (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        project_id {uuid} REFERENCES projects (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        disabled_at BIGINT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX service_accounts_name ON service_accounts (org_id, name)",
    "CREATE TABLE credentials (
        id {uuid} PRIMARY KEY,
        kind TEXT NOT NULL,
        principal_type TEXT NOT NULL,
        principal_id {uuid} NOT NULL,
        secret_mac {bytes} NOT NULL,
        prefix TEXT NOT NULL,
        last_four TEXT NOT NULL,
        name TEXT NOT NULL,
        scopes TEXT,
        patterns TEXT,
        org_id {uuid},
        family_id {uuid},
        replaced_by {uuid},
        auth_time BIGINT,
        ip TEXT,
        user_agent TEXT,
        created_at BIGINT NOT NULL,
        expires_at BIGINT,
        idle_expires_at BIGINT,
        last_used_at BIGINT,
        revoked_at BIGINT
    )",
    "CREATE UNIQUE INDEX credentials_mac ON credentials (secret_mac)",
    "CREATE INDEX credentials_principal ON credentials (principal_id, kind, created_at)",
    "CREATE INDEX credentials_family ON credentials (family_id)",
    "CREATE TABLE challenges (
        id {uuid} PRIMARY KEY,
        purpose TEXT NOT NULL,
        user_id {uuid} REFERENCES users (id) ON DELETE CASCADE,
        email_id {uuid} REFERENCES user_emails (id) ON DELETE CASCADE,
        secret_mac {bytes} NOT NULL,
        attempts INTEGER NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        consumed_at BIGINT
    )",
    "CREATE UNIQUE INDEX challenges_mac ON challenges (secret_mac)",
    "CREATE INDEX challenges_user ON challenges (user_id, purpose)",
    // Answers to requests that carried an Idempotency-Key, sealed: an answer may hold a token that is shown once.
    "CREATE TABLE idempotent_responses (
        scope_mac {bytes} PRIMARY KEY,
        request_hash {bytes} NOT NULL,
        sealed {bytes} NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL
    )",
    "CREATE INDEX idempotent_responses_expiry ON idempotent_responses (expires_at)",
];
