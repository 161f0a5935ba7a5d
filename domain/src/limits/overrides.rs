//! Limits of single organisations, in place of their plan's.

use sea_orm::ConnectionTrait;

use super::key::{Limit, LimitKey};
use crate::kernel::id::OrgId;
use crate::kernel::text::{self, MAX_DESCRIPTION_LEN};
use crate::kernel::{Problem, Reads, Result, Timestamp, WriteTx};

/// Limits to be set for one organisation.
#[derive(Clone, Debug, Default)]
pub struct NewOverrides {
    /// `None` takes back what was set: the plan counts again.
    pub limits: Vec<(LimitKey, Option<Limit>)>,
    /// Why, for whoever asks later.
    pub reason: String,
    /// When they end by themselves; `None` = never.
    pub expires_at: Option<Timestamp>,
}

/// The limit that a caller sent as a number.
///
/// # Errors
/// `invalid_field` naming `limits` and the key.
pub fn checked(key: LimitKey, number: i64) -> Result<Limit> {
    let wrong = || {
        let message = "must not be negative, or -1 for unlimited";
        Problem::field(format!("limits.{}", key.as_str()), "range", message)
    };
    Ok(Limit::from_number(number).ok_or_else(wrong)?)
}

/// Sets limits for an organisation; the caller journals. One that is set to what it is goes on as of when it was set, and
/// one that is taken back has ended now: whoever has more than what counts then has their time.
///
/// # Errors
/// `invalid_field`.
pub async fn set(tx: &WriteTx, org: OrgId, new: &NewOverrides) -> Result<()> {
    let reason = text::short("reason", new.reason.trim(), MAX_DESCRIPTION_LEN)?;
    if new.expires_at.is_some_and(|end| end <= tx.now()) {
        return Err(Problem::field("expires_at", "past", "must lie ahead, or be absent").into());
    }
    for (key, limit) in &new.limits {
        let Some(limit) = limit else {
            let sql = "UPDATE limit_overrides SET expires_at = $3
                WHERE org_id = $1 AND key = $2 AND (expires_at IS NULL OR expires_at > $3)";
            let values = [org.into(), key.as_str().into(), tx.now().into()];
            tx.conn().execute_raw(tx.sql(sql, values)).await?;
            continue;
        };
        let sql = "INSERT INTO limit_overrides (org_id, key, value, reason, expires_at, set_at)
            VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (org_id, key) DO UPDATE SET value = excluded.value, reason = excluded.reason,
                expires_at = excluded.expires_at,
                set_at = CASE WHEN limit_overrides.value = excluded.value
                        AND (limit_overrides.expires_at IS NULL OR limit_overrides.expires_at > excluded.set_at)
                    THEN limit_overrides.set_at ELSE excluded.set_at END";
        let values = [
            org.into(),
            key.as_str().into(),
            limit.to_number().into(),
            reason.clone().into(),
            new.expires_at.into(),
            tx.now().into(),
        ];
        tx.conn().execute_raw(tx.sql(sql, values)).await?;
    }
    Ok(())
}
