//! How much there is of everything.

use sea_orm::FromQueryResult;
use uuid::Uuid;

use crate::access::Superuser;
use crate::kernel::{Error, Reads, Result};

/// Counts over the whole instance. What is deleted and can be restored does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Stats {
    pub users: i64,
    /// Accounts that are not switched off.
    pub active_users: i64,
    pub superusers: i64,
    pub orgs: i64,
    pub projects: i64,
    pub environments: i64,
    pub secrets: i64,
    pub service_accounts: i64,
    pub webhooks: i64,
    /// Personal tokens and keys of service accounts, all that there ever were.
    pub tokens: i64,
    /// Those of them that are neither revoked nor expired.
    pub active_tokens: i64,
    pub pending_invites: i64,
    pub accepted_invites: i64,
    /// Jobs that wait or run.
    pub open_jobs: i64,
    /// Jobs that were given up.
    pub dead_jobs: i64,
}

/// `$1` is the realm of the instance's own accounts, `$2` now.
const COUNTS: &str = "SELECT
    (SELECT COUNT(*) FROM users WHERE realm_id = $1) AS users,
    (SELECT COUNT(*) FROM users WHERE realm_id = $1 AND disabled_at IS NULL) AS active_users,
    (SELECT COUNT(*) FROM users WHERE is_superuser) AS superusers,
    (SELECT COUNT(*) FROM orgs WHERE deleted_at IS NULL) AS orgs,
    (SELECT COUNT(*) FROM projects p JOIN orgs o ON o.id = p.org_id AND o.deleted_at IS NULL
        WHERE p.deleted_at IS NULL) AS projects,
    (SELECT COUNT(*) FROM environments e JOIN projects p ON p.id = e.project_id AND p.deleted_at IS NULL
        JOIN orgs o ON o.id = e.org_id AND o.deleted_at IS NULL WHERE e.deleted_at IS NULL) AS environments,
    (SELECT COUNT(*) FROM secrets s JOIN environments e ON e.id = s.environment_id AND e.deleted_at IS NULL
        JOIN projects p ON p.id = s.project_id AND p.deleted_at IS NULL
        JOIN orgs o ON o.id = s.org_id AND o.deleted_at IS NULL WHERE s.deleted_at IS NULL) AS secrets,
    (SELECT COUNT(*) FROM service_accounts s JOIN orgs o ON o.id = s.org_id AND o.deleted_at IS NULL) AS service_accounts,
    (SELECT COUNT(*) FROM webhooks w JOIN orgs o ON o.id = w.org_id AND o.deleted_at IS NULL
        WHERE w.deleted_at IS NULL) AS webhooks,
    (SELECT COUNT(*) FROM credentials WHERE kind IN ('personal', 'service_key')) AS tokens,
    (SELECT COUNT(*) FROM credentials WHERE kind IN ('personal', 'service_key') AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > $2)) AS active_tokens,
    (SELECT COUNT(*) FROM invites WHERE revoked_at IS NULL AND uses < max_uses AND expires_at > $2) AS pending_invites,
    (SELECT COUNT(*) FROM invites WHERE uses >= max_uses) AS accepted_invites,
    (SELECT COUNT(*) FROM jobs WHERE state = 0) AS open_jobs,
    (SELECT COUNT(*) FROM jobs WHERE state = 3) AS dead_jobs";

/// # Errors
/// [`Error::Db`].
pub async fn stats(from: &impl Reads, _: &Superuser) -> Result<Stats> {
    let values = [Uuid::nil().into(), from.now().into()];
    let found = Stats::find_by_statement(from.sql(COUNTS, values))
        .one(from.conn())
        .await?;
    found.ok_or_else(|| Error::internal("a query of counts gave no row"))
}
