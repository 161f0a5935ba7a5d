//! Realms: organisations with users of their own, who are no accounts of this platform.

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
    "ALTER TABLE orgs ADD COLUMN realm_enabled BOOLEAN NOT NULL DEFAULT FALSE",
    // Apart from `users`, so that no question about accounts of the platform can ever meet one of them.
    "CREATE TABLE realm_users (
        id {uuid} PRIMARY KEY,
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        address TEXT NOT NULL,
        canonical TEXT NOT NULL,
        display_name TEXT NOT NULL,
        password_hash TEXT,
        metadata TEXT NOT NULL,
        disabled_at BIGINT,
        auth_epoch BIGINT NOT NULL,
        last_login_at BIGINT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX realm_users_canonical ON realm_users (org_id, canonical)",
    "CREATE INDEX realm_users_age ON realm_users (org_id, created_at, id)",
    // Roles of the audience `app` only.
    "CREATE TABLE realm_user_roles (
        user_id {uuid} NOT NULL REFERENCES realm_users (id) ON DELETE CASCADE,
        role_id {uuid} NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
        granted_by {uuid},
        created_at BIGINT NOT NULL,
        PRIMARY KEY (user_id, role_id)
    )",
    "CREATE INDEX realm_user_roles_role ON realm_user_roles (role_id)",
    // Whoever accepts becomes a user of the realm and not a member.
    "ALTER TABLE invites ADD COLUMN for_realm BOOLEAN NOT NULL DEFAULT FALSE",
];
