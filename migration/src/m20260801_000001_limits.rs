//! Plans and limits: what each plan allows, what single organisations are allowed instead, and how much is used.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(manager, UP).await?;
        ddl::run(manager, COUNTED).await
    }
}

const UP: &[&str] = &[
    // `default`: what the instance gives; `admin`: set by hand; `subscription`: follows what is paid for.
    "ALTER TABLE orgs ADD COLUMN plan_source TEXT NOT NULL DEFAULT 'default'",
    "ALTER TABLE orgs ADD COLUMN plan_since BIGINT NOT NULL DEFAULT 0",
    // Since when it has more than its plan allows; NULL while it has not.
    "ALTER TABLE orgs ADD COLUMN over_limit_since BIGINT",
    // Nothing new is written in it: one of too many projects.
    "ALTER TABLE projects ADD COLUMN frozen_at BIGINT",
    // -1 = unlimited, here and in the next table. A key that a plan has no row of has its built-in limit.
    "CREATE TABLE plan_limits (
        plan TEXT NOT NULL,
        key TEXT NOT NULL,
        value BIGINT NOT NULL CHECK (value >= -1),
        updated_at BIGINT NOT NULL,
        PRIMARY KEY (plan, key)
    )",
    "CREATE TABLE limit_overrides (
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        key TEXT NOT NULL,
        value BIGINT NOT NULL CHECK (value >= -1),
        reason TEXT NOT NULL,
        expires_at BIGINT,
        set_at BIGINT NOT NULL,
        PRIMARY KEY (org_id, key)
    )",
    // scope_id is the organisation, or a project of it. The row is also the lock of whoever creates one more.
    "CREATE TABLE usage_counters (
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        scope_id {uuid} NOT NULL,
        resource TEXT NOT NULL,
        used BIGINT NOT NULL CHECK (used >= 0),
        PRIMARY KEY (org_id, scope_id, resource)
    )",
    // Requests of a calendar month, UTC: 203001 is January 2030.
    "CREATE TABLE api_usage (
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        month INTEGER NOT NULL,
        requests BIGINT NOT NULL,
        PRIMARY KEY (org_id, month)
    )",
    // What the owners were told of already; level is a share of the limit, percent.
    "CREATE TABLE limit_notices (
        org_id {uuid} NOT NULL REFERENCES orgs (id) ON DELETE CASCADE,
        scope_id {uuid} NOT NULL,
        resource TEXT NOT NULL,
        month INTEGER NOT NULL,
        level INTEGER NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (org_id, scope_id, resource, month, level)
    )",
];

/// What there is already.
const COUNTED: &[&str] = &[
    "INSERT INTO usage_counters (org_id, scope_id, resource, used)
        SELECT org_id, org_id, 'projects', COUNT(*) FROM projects WHERE deleted_at IS NULL GROUP BY org_id",
    "INSERT INTO usage_counters (org_id, scope_id, resource, used)
        SELECT org_id, project_id, 'environments_per_project', COUNT(*) FROM environments
        WHERE deleted_at IS NULL GROUP BY org_id, project_id",
    "INSERT INTO usage_counters (org_id, scope_id, resource, used)
        SELECT s.org_id, s.project_id, 'secrets_per_project', COUNT(*) FROM secrets s
        JOIN environments e ON e.id = s.environment_id AND e.deleted_at IS NULL
        WHERE s.deleted_at IS NULL GROUP BY s.org_id, s.project_id",
    "INSERT INTO usage_counters (org_id, scope_id, resource, used)
        SELECT org_id, org_id, 'service_accounts', COUNT(*) FROM service_accounts GROUP BY org_id",
    "INSERT INTO usage_counters (org_id, scope_id, resource, used)
        SELECT org_id, org_id, 'webhooks', COUNT(*) FROM webhooks WHERE deleted_at IS NULL GROUP BY org_id",
];
