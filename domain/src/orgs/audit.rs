//! How long the audit log of an organisation is kept: as many days as its plan says. What others may still need of it is
//! kept longer: events that wait to be delivered, and a week for whoever reads the feed or was not reached.

use std::time::Duration;

use crate::journal;
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Reads, Result, Timestamp};
use crate::limits::{LimitKey, resolve};
use crate::webhooks::recovery;

/// A smaller limit counts after this long: nobody loses their log by the plan of a day.
const PATIENCE: Duration = Duration::from_hours(30 * 24);
/// Kept whatever the plan says: longer than a delivery is tried, and than a webhook may fail before it is switched off.
const LEAST: Duration = Duration::from_hours(7 * 24);
/// More days than there have been.
const MOST_DAYS: u64 = 100_000;
/// Steps for one organisation at a time; what is left then waits for the next.
const STEPS: usize = 500;

/// Removes what plans do not keep any more, in steps; returns how many events.
///
/// # Errors
/// [`crate::kernel::Error::Db`]; what was removed until then is gone.
pub async fn prune(db: &Db) -> Result<u64> {
    let needed = journal::needed(db, db.now() - LEAST).await?;
    let mut removed = 0;
    for org in resolve::limited(db).await? {
        let days = resolve::settled(db, org, LimitKey::AuditRetentionDays, PATIENCE).await?;
        if let Some(days) = days {
            removed += prune_org(db, org, db.now() - kept(days), needed.get(&org).copied()).await?;
        }
    }
    Ok(removed)
}

/// How long events are kept where so many days are allowed.
fn kept(days: u64) -> Duration {
    Duration::from_hours(24 * days.min(MOST_DAYS)).max(LEAST)
}

async fn prune_org(db: &Db, org: OrgId, before: Timestamp, needed: Option<i64>) -> Result<u64> {
    if recovery::needs_older(db, org, before, db.now() - LEAST).await? {
        return Ok(0);
    }
    let mut removed = 0;
    for _ in 0..STEPS {
        let step = journal::purge(db, org, before, needed).await?;
        if step == 0 {
            break;
        }
        removed += step;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_kept_whatever_the_plan_says() {
        let days = |days: u64| Duration::from_hours(24 * days);
        assert_eq!(
            [0, 6, 7, 8, 365].map(kept),
            [days(7), days(7), days(7), days(8), days(365)]
        );
        assert_eq!(kept(u64::MAX), days(MOST_DAYS));
    }
}
