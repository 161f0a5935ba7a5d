//! How much of its limits an organisation uses.

use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::key::{LimitKey, Reach};
use super::meter::month_of;
use super::resolve::{self, Effective};
use super::{plan, seats};
use crate::kernel::id::{OrgId, ProjectId};
use crate::kernel::{Reads, Result};

/// A limit, and how much of it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub effective: Effective,
    /// Of what is limited in each project, that of the fullest one. `None` for what is a setting.
    pub used: Option<u64>,
    /// The fullest project.
    pub project: Option<ProjectId>,
}

/// How much there is of each thing, whatever the limits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    pub key: LimitKey,
    pub used: u64,
    pub project: Option<ProjectId>,
}

#[derive(FromQueryResult)]
struct Counter {
    scope_id: Uuid,
    resource: String,
    used: i64,
}

#[derive(FromQueryResult)]
struct Requests {
    requests: i64,
}

/// Of each thing, how much there is: of what is limited in each project, one amount for each project.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn amounts(from: &impl Reads, org: OrgId) -> Result<Vec<Amount>> {
    let sql = "SELECT c.scope_id, c.resource, c.used FROM usage_counters c
        LEFT JOIN projects p ON p.id = c.scope_id
        WHERE c.org_id = $1 AND (p.id IS NULL OR p.deleted_at IS NULL) ORDER BY c.scope_id";
    let counters = Counter::find_by_statement(from.sql(sql, [org.into()]))
        .all(from.conn())
        .await?;
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    let mut amounts = Vec::new();
    for key in LimitKey::ALL.iter().copied() {
        let whole = |used: i64| Amount {
            key,
            used: number(used),
            project: None,
        };
        let of_key = counters.iter().filter(|row| row.resource == key.as_str());
        match key.reach() {
            Reach::Setting => {}
            Reach::Month => amounts.push(whole(requests(from, org).await?)),
            Reach::Project => amounts.extend(of_key.map(|row| Amount {
                project: Some(ProjectId(row.scope_id)),
                ..whole(row.used)
            })),
            Reach::Org => match seats::count(from, org, key).await? {
                Some(used) => amounts.push(whole(used)),
                None => amounts.push(whole(of_key.map(|row| row.used).next().unwrap_or(0))),
            },
        }
    }
    Ok(amounts)
}

async fn requests(from: &impl Reads, org: OrgId) -> Result<i64> {
    let sql = "SELECT requests FROM api_usage WHERE org_id = $1 AND month = $2";
    let row = Requests::find_by_statement(from.sql(sql, [org.into(), month_of(from.now()).into()]))
        .one(from.conn())
        .await?;
    Ok(row.map_or(0, |row| row.requests))
}

/// The fullest of the amounts of a key.
pub(super) fn fullest(amounts: &[Amount], key: LimitKey) -> Option<Amount> {
    let of_key = amounts.iter().filter(|amount| amount.key == key);
    of_key.copied().max_by_key(|amount| amount.used)
}

/// Every limit of an organisation, with what is used of it.
///
/// # Errors
/// `not_found` when it is gone.
pub async fn of_org(from: &impl Reads, org: OrgId) -> Result<Vec<Used>> {
    let standing = plan::standing(from, org).await?;
    let limits = resolve::of_org(from, org, standing.plan).await?;
    let amounts = amounts(from, org).await?;
    let used = |effective: Effective| {
        let fullest = fullest(&amounts, effective.key);
        let nothing = (effective.key.reach() != Reach::Setting).then_some(0);
        Used {
            effective,
            used: fullest.map(|amount| amount.used).or(nothing),
            project: fullest.and_then(|amount| amount.project),
        }
    };
    Ok(limits.into_iter().map(used).collect())
}
