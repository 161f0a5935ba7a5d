//! What ends by itself, or with something else: memberships and invitations, tokens, access rules, templates. No
//! counter can be told of that, so whoever makes one more takes the counter's row and counts what is there, before and
//! after.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::counter::Scope;
use super::key::{Limit, LimitKey};
use super::refusal::{Excess, exceeded};
use super::resolve;
use crate::kernel::id::OrgId;
use crate::kernel::{Error, Reads, Result, WriteTx};

/// How many there are now; `$1` is the organisation, `$2` now. `None` for what counters count.
fn counting(key: LimitKey) -> Option<&'static str> {
    match key {
        // Users of a realm are no members. Whoever is a member needs no second seat for an invitation to one more place, nor does who has two of them.
        LimitKey::Members => Some(
            "SELECT (SELECT COUNT(DISTINCT m.subject_id) FROM memberships m WHERE m.org_id = $1
                    AND m.subject_type = 'user' AND (m.expires_at IS NULL OR m.expires_at > $2))
                + (SELECT COUNT(*) FROM invites i WHERE i.org_id = $1 AND i.canonical IS NULL AND NOT i.for_realm
                    AND i.revoked_at IS NULL AND i.uses < i.max_uses AND i.expires_at > $2)
                + (SELECT COUNT(DISTINCT i.canonical) FROM invites i WHERE i.org_id = $1 AND NOT i.for_realm
                    AND i.revoked_at IS NULL AND i.uses < i.max_uses AND i.expires_at > $2
                    AND NOT EXISTS (SELECT 1 FROM user_emails e JOIN memberships m ON m.subject_id = e.user_id
                        WHERE e.canonical = i.canonical AND e.verified_at IS NOT NULL AND m.org_id = $1
                          AND m.subject_type = 'user' AND (m.expires_at IS NULL OR m.expires_at > $2))) AS used",
        ),
        LimitKey::Tokens => Some(
            "SELECT (SELECT COUNT(*) FROM credentials c WHERE c.org_id = $1 AND c.kind = 'personal'
                    AND c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > $2))
                + (SELECT CAST(COALESCE(SUM(CASE WHEN k.n > 1 THEN k.n - 1 ELSE k.n END), 0) AS bigint)
                    FROM (SELECT COUNT(*) AS n FROM credentials c JOIN service_accounts s ON s.id = c.principal_id
                        WHERE s.org_id = $1 AND c.kind = 'service_key' AND c.revoked_at IS NULL
                          AND (c.expires_at IS NULL OR c.expires_at > $2) GROUP BY c.principal_id) k) AS used",
        ),
        LimitKey::Templates => Some(
            "SELECT COUNT(DISTINCT t.project_id) AS used FROM template_keys t
             JOIN projects p ON p.id = t.project_id AND p.deleted_at IS NULL
             WHERE t.org_id = $1 AND CAST($2 AS bigint) IS NOT NULL",
        ),
        LimitKey::AclRules => {
            Some("SELECT COUNT(*) AS used FROM acl_rules WHERE org_id = $1 AND (expires_at IS NULL OR expires_at > $2)")
        }
        LimitKey::Projects
        | LimitKey::EnvironmentsPerProject
        | LimitKey::SecretsPerProject
        | LimitKey::ServiceAccounts
        | LimitKey::Webhooks
        | LimitKey::VersionsRetained
        | LimitKey::ApiRequestsMonth
        | LimitKey::RateLimitRpm
        | LimitKey::AuditRetentionDays => None,
    }
}

#[derive(FromQueryResult)]
struct Counted {
    used: i64,
}

/// How many there are now; `None` for what counters count.
///
/// # Errors
/// [`Error::Db`].
pub async fn count(from: &impl Reads, org: OrgId, key: LimitKey) -> Result<Option<i64>> {
    let Some(sql) = counting(key) else { return Ok(None) };
    let row = Counted::find_by_statement(from.sql(sql, [org.into(), from.now().into()]))
        .one(from.conn())
        .await?;
    Ok(Some(row.map_or(0, |row| row.used)))
}

/// The counter's row, taken before a change: nobody else makes one more until the transaction ends.
#[must_use = "a change that is not settled is not held to the limit"]
pub struct Seats {
    org: OrgId,
    key: LimitKey,
    /// What there was before; `None` where nothing is limited and so nothing is counted.
    before: Option<i64>,
}

/// Takes the counter's row. Call it once the rows are locked that the change itself locks, and [`Seats::settle`] when
/// it is made.
///
/// # Errors
/// [`Error::Db`].
pub async fn hold(tx: &WriteTx, org: OrgId, key: LimitKey) -> Result<Seats> {
    let (_, effective) = resolve::one(tx, org, key).await?;
    if effective.limit == Limit::Unlimited {
        return Ok(Seats { org, key, before: None });
    }
    let sql = "INSERT INTO usage_counters (org_id, scope_id, resource, used) VALUES ($1, $2, $3, 0)
        ON CONFLICT (org_id, scope_id, resource) DO UPDATE SET used = usage_counters.used";
    let values = [org.into(), Scope::org(org).id().into(), key.as_str().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    // A statement of its own: it sees what those have committed who held the row before.
    let before = count(tx, org, key).await?;
    let before = before.ok_or_else(|| Error::internal("seats of what has a counter"))?;
    Ok(Seats {
        org,
        key,
        before: Some(before),
    })
}

impl Seats {
    /// Holds what was made to the limit. What does not grow is always allowed, however much there is.
    ///
    /// # Errors
    /// `plan_limit_exceeded`; the transaction must be given up then.
    pub async fn settle(self, tx: &WriteTx) -> Result<()> {
        let Self { org, key, before } = self;
        let Some(before) = before else { return Ok(()) };
        let after = count(tx, org, key).await?.unwrap_or(before);
        if after > before {
            let (_, effective) = resolve::one(tx, org, key).await?;
            if !effective.limit.allows(u64::try_from(after).unwrap_or(0)) {
                let excess = Excess {
                    key,
                    used: u64::try_from(before).unwrap_or(0),
                    requested: u64::try_from(after - before).unwrap_or(0),
                };
                return Err(exceeded(tx, org, excess).await);
            }
        }
        let sql = "UPDATE usage_counters SET used = $4 WHERE org_id = $1 AND scope_id = $2 AND resource = $3";
        let values = [
            org.into(),
            Scope::org(org).id().into(),
            key.as_str().into(),
            after.into(),
        ];
        tx.conn().execute_raw(tx.sql(sql, values)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Reach;
    use super::*;

    #[test]
    fn only_things_of_an_organisation_have_seats() {
        for key in LimitKey::ALL.iter().filter(|key| counting(**key).is_some()) {
            assert_eq!(key.reach(), Reach::Org, "{key:?}");
        }
    }
}
