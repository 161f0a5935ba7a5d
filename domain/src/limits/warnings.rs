//! Tells the owners of an organisation when they come near a limit, and when they reach it: once a calendar month for
//! each, by mail and as an event.

use sea_orm::ConnectionTrait;

use super::counter::Scope;
use super::key::{Limit, LimitKey};
use super::meter::month_of;
use super::{plan, resolve, usage};
use crate::access::Origin;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Reads, Result, WriteTx};
use crate::mail::{self, NewMail, Template, To};
use crate::members::ownership;
use crate::orgs::organisation;

/// Percent of a limit from which on the owners are told that they come near it.
const NEAR: u64 = 80;
/// Percent of a limit at which it is reached.
const FULL: u64 = 100;

/// What is to be told: the amount and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Notice {
    key: LimitKey,
    scope: Scope,
    used: u64,
    max: u64,
    level: u64,
}

/// The level that so much of a limit has reached, if any.
fn level(used: u64, limit: Limit) -> Option<u64> {
    let Limit::Max(max) = limit else { return None };
    // Who is allowed nothing and has nothing is told of nothing.
    if used == 0 || used.saturating_mul(100) < max.saturating_mul(NEAR) {
        return None;
    }
    Some(if used >= max { FULL } else { NEAR })
}

/// Looks at every organisation that anything is limited for, and tells what has not been told; returns how many notices
/// there were.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn sweep(db: &Db) -> Result<u64> {
    let mut told = 0;
    for id in resolve::limited(db).await? {
        for notice in notices(db, id).await? {
            let tx = db.begin_write().await?;
            if tell(&tx, notice).await? {
                tx.commit().await?;
                told += 1;
            } else {
                tx.rollback().await?;
            }
        }
    }
    Ok(told)
}

/// What is near a limit or at it now.
async fn notices(from: &impl Reads, org: OrgId) -> Result<Vec<Notice>> {
    let standing = plan::standing(from, org).await?;
    let limits = resolve::of_org(from, org, standing.plan).await?;
    let amounts = usage::amounts(from, org).await?;
    let notice = |amount: &usage::Amount| {
        let effective = limits.iter().find(|effective| effective.key == amount.key)?;
        let level = level(amount.used, effective.limit)?;
        let Limit::Max(max) = effective.limit else { return None };
        Some(Notice {
            key: amount.key,
            scope: Scope {
                org,
                project: amount.project,
            },
            used: amount.used,
            max,
            level,
        })
    };
    Ok(amounts.iter().filter_map(notice).collect())
}

/// Tells the owners, unless they were told this month.
async fn tell(tx: &WriteTx, notice: Notice) -> Result<bool> {
    let Notice {
        key,
        scope,
        used,
        max,
        level,
    } = notice;
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let sql = "INSERT INTO limit_notices (org_id, scope_id, resource, month, level, created_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let values = [
        scope.org.into(),
        scope.id().into(),
        key.as_str().into(),
        month_of(tx.now()).into(),
        number(level).into(),
        tx.now().into(),
    ];
    if tx.conn().execute_raw(tx.sql(sql, values)).await?.rows_affected() == 0 {
        return Ok(false);
    }
    let org = organisation::name_of(tx, scope.org).await?.unwrap_or_default();
    for owner in ownership::owners(tx, scope.org).await? {
        let mail = NewMail::new(Template::LimitNotice, To::Primary(owner))
            .with("org", org.clone())
            .with("what", key.description())
            .with("used", number(used))
            .with("max", number(max));
        mail::queue(tx, mail).await?;
    }
    let action = if level == FULL {
        Action::LimitReached
    } else {
        Action::LimitApproaching
    };
    let entry = Entry {
        project: scope.project,
        ..Entry::in_org(scope.org, action, Target::Org(scope.org))
    };
    let entry = entry
        .with("limit", key.as_str())
        .with("used", number(used))
        .with("max", number(max));
    journal::record(tx, &Origin::system(), entry).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_told_at_four_fifths_and_at_the_limit() {
        for (used, max, expected) in [
            (0, 0, None),
            (0, 10, None),
            (7, 10, None),
            (8, 10, Some(NEAR)),
            (9, 10, Some(NEAR)),
            (10, 10, Some(FULL)),
            (11, 10, Some(FULL)),
            (1, 1, Some(FULL)),
            (1, 0, Some(FULL)),
            (2, 3, None),
        ] {
            assert_eq!(level(used, Limit::Max(max)), expected, "{used} of {max}");
        }
        assert_eq!(level(u64::MAX, Limit::Unlimited), None);
    }
}
