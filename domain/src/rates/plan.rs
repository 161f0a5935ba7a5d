//! What a plan says of the limits of its organisation's credentials: `rate_limit_rpm`, resolved as every other limit is.

use sea_orm::FromQueryResult;

use super::{Class, Rate};
use crate::access::{Caller, Principal};
use crate::kernel::{Reads, Result};
use crate::limits::resolve::sql_of;
use crate::limits::{Limit, LimitKey};

/// By how much a class has more where a plan limits nothing: it still protects the instance.
const UNLIMITED: u32 = 10;

/// The rate of a class for a credential of whose plan this is known; `None` for whoever has no plan.
pub fn rate(class: Class, allowed: Option<Limit>, scale: f64) -> Rate {
    let (per_minute, factor) = match allowed.filter(|_| class.goes_by_plan()) {
        None => (class.per_minute(), 1),
        Some(Limit::Unlimited) => (class.per_minute(), UNLIMITED),
        Some(Limit::Max(most)) => (u32::try_from(most).unwrap_or(u32::MAX), 1),
    };
    Rate::new(per_minute, factor, scale)
}

#[derive(FromQueryResult)]
struct Row {
    most: i64,
}

/// The requests a minute that a caller is allowed: what counts for the organisation that the credential is bound to, else
/// the most among the organisations that the caller belongs to. `None` for whoever belongs to none.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn allowed(from: &impl Reads, caller: &Caller) -> Result<Option<Limit>> {
    let most = sql_of(LimitKey::RateLimitRpm, "$2");
    let (sql, id): (String, sea_orm::Value) = match (caller.actor.ceiling.org, caller.actor.principal) {
        (Some(org), _) => (format!("SELECT {most} AS most FROM orgs o WHERE o.id = $1"), org.into()),
        (None, Principal::User(user)) => {
            let sql = format!(
                "SELECT {most} AS most FROM orgs o WHERE o.deleted_at IS NULL AND EXISTS (
                    SELECT 1 FROM memberships m WHERE m.org_id = o.id AND m.subject_type = 'user' AND m.subject_id = $1
                        AND (m.expires_at IS NULL OR m.expires_at > $2))"
            );
            (sql, user.into())
        }
        // A service account's credential is bound to its organisation.
        (None, Principal::ServiceAccount(_)) => return Ok(None),
    };
    let rows = Row::find_by_statement(from.sql(&sql, [id, from.now().into()]))
        .all(from.conn())
        .await?;
    let limits = rows.iter().filter_map(|row| Limit::from_number(row.most));
    Ok(limits.max_by_key(|limit| match limit {
        Limit::Unlimited => u64::MAX,
        Limit::Max(most) => *most,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_decides_what_goes_by_plans_and_nothing_else() {
        let same = |class, allowed, per_minute, factor| {
            assert_eq!(
                rate(class, allowed, 1.0),
                Rate::new(per_minute, factor, 1.0),
                "{class:?} {allowed:?}"
            );
        };
        for (class, per_minute) in [(Class::Read, 1000), (Class::Authorize, 1000), (Class::Write, 600)] {
            same(class, None, per_minute, 1);
            same(class, Some(Limit::Unlimited), per_minute, 10);
            same(class, Some(Limit::Max(120)), 120, 1);
            same(class, Some(Limit::Max(u64::MAX)), u32::MAX, 1);
        }
        for class in [Class::Admin, Class::SignIn, Class::Mail, Class::Invite] {
            same(class, Some(Limit::Max(3000)), class.per_minute(), 1);
            same(class, Some(Limit::Unlimited), class.per_minute(), 1);
        }
    }
}
