//! Organisations that have more than their plan allows. Nothing is deleted and nothing is switched off: no more can be
//! made of what is too much. After 30 days nothing new is written in the projects that are too many, the newest first;
//! reading, deleting, exporting and rotating keys go on.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::key::{Limit, LimitKey};
use super::{resolve, usage};
use crate::access::Origin;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{OrgId, ProjectId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::{Db, Reads, Result, Timestamp, WriteTx};

/// How long an organisation may have too many projects before the newest are frozen.
pub const PATIENCE: Duration = Duration::from_hours(30 * 24);

#[derive(FromQueryResult)]
struct Project {
    id: ProjectId,
}

#[derive(FromQueryResult)]
struct Since {
    over_limit_since: Option<Timestamp>,
}

/// The live projects beyond so many, the newest first.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub(super) async fn beyond(from: &impl Reads, org: OrgId, max: u64) -> Result<Vec<ProjectId>> {
    let sql = "SELECT id FROM projects WHERE org_id = $1 AND deleted_at IS NULL ORDER BY created_at DESC, id DESC";
    let rows = Project::find_by_statement(from.sql(sql, [org.into()]))
        .all(from.conn())
        .await?;
    let many = rows.len().saturating_sub(usize::try_from(max).unwrap_or(usize::MAX));
    Ok(rows.into_iter().take(many).map(|project| project.id).collect())
}

/// Looks whether an organisation has more than its plan allows now, and since when; freezes what is to be frozen, lets
/// go what is not. The caller journals what led to it.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn refresh(tx: &WriteTx, org: OrgId) -> Result<()> {
    let plan = resolve::plan_of(tx, org).await?;
    let limits = resolve::of_org(tx, org, plan).await?;
    let is_over = is_over(tx, org, &limits).await?;
    let sql = "UPDATE orgs SET over_limit_since = CASE WHEN $2 THEN COALESCE(over_limit_since, $3) END
        WHERE id = $1 RETURNING over_limit_since";
    let since = Since::find_by_statement(tx.sql(sql, [org.into(), is_over.into(), tx.now().into()]))
        .one(tx.conn())
        .await?
        .and_then(|row| row.over_limit_since);
    let is_overdue = since.is_some_and(|since| since + PATIENCE <= tx.now());
    // It may have had too much of something else for long: the limit itself must be as old.
    let frozen = match resolve::settled(tx, org, LimitKey::Projects, PATIENCE).await? {
        Some(max) if is_overdue => beyond(tx, org, max).await?,
        Some(_) | None => Vec::new(),
    };
    let sql = "UPDATE projects SET frozen_at = NULL WHERE org_id = $1 AND frozen_at IS NOT NULL";
    if frozen.is_empty() {
        tx.conn().execute_raw(tx.sql(sql, [org.into()])).await?;
        return Ok(());
    }
    let is_one = is_one_of(tx.backend(), "id", "$3");
    let sql = format!(
        "UPDATE projects SET frozen_at = CASE WHEN {is_one} THEN COALESCE(frozen_at, $2) END
         WHERE org_id = $1 AND ({is_one} OR frozen_at IS NOT NULL)"
    );
    let ids = id_param(frozen.into_iter().map(|project| project.0));
    let values = [org.into(), tx.now().into(), ids];
    tx.conn().execute_raw(tx.sql(&sql, values)).await?;
    Ok(())
}

/// The meter counts what is past: that it is full is no reason to freeze anything.
async fn is_over(from: &impl Reads, org: OrgId, limits: &[resolve::Effective]) -> Result<bool> {
    if limits.iter().all(|effective| effective.limit == Limit::Unlimited) {
        return Ok(false);
    }
    let amounts = usage::amounts(from, org).await?;
    let limit_of = |key: LimitKey| limits.iter().find(|effective| effective.key == key);
    Ok(amounts
        .iter()
        .filter(|amount| amount.key != LimitKey::ApiRequestsMonth)
        .any(|amount| limit_of(amount.key).is_some_and(|effective| !effective.limit.allows(amount.used))))
}

/// Looks at every organisation whose time is over and at those that have something frozen; returns how many have
/// changed.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn sweep(db: &Db) -> Result<u64> {
    let mut changed = 0;
    // Also those that nobody has looked at since: an override ended, or a plan allows less now.
    for id in resolve::limited(db).await? {
        let tx = db.begin_write().await?;
        let before = frozen(&tx, id).await?;
        refresh(&tx, id).await?;
        let after = frozen(&tx, id).await?;
        if before == after {
            tx.commit_bookkeeping().await?;
            continue;
        }
        let names = |ids: &[ProjectId]| ids.iter().map(ProjectId::to_string).collect::<Vec<_>>();
        let entry = Entry::in_org(id, Action::ProjectsFrozen, Target::Org(id))
            .with("frozen", names(&after))
            .with("frozen_before", names(&before));
        journal::record(&tx, &Origin::system(), entry).await?;
        tx.commit().await?;
        changed += 1;
    }
    Ok(changed)
}

/// The frozen projects of an organisation.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn frozen(from: &impl Reads, org: OrgId) -> Result<Vec<ProjectId>> {
    let sql = "SELECT id FROM projects WHERE org_id = $1 AND frozen_at IS NOT NULL ORDER BY id";
    let rows = Project::find_by_statement(from.sql(sql, [org.into()]))
        .all(from.conn())
        .await?;
    Ok(rows.into_iter().map(|project| project.id).collect())
}

/// Lets go what need not be frozen any more, right after something was deleted. Take the organisation's row first.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn thaw(tx: &WriteTx, org: OrgId) -> Result<()> {
    let sql = "SELECT over_limit_since FROM orgs WHERE id = $1";
    let row = Since::find_by_statement(tx.sql(sql, [org.into()]))
        .one(tx.conn())
        .await?;
    if row.is_some_and(|row| row.over_limit_since.is_some()) {
        refresh(tx, org).await?;
    }
    Ok(())
}

/// Asks that something new may be made in a project.
///
/// # Errors
/// `plan_limit_exceeded` for one that is frozen.
pub async fn require_open(tx: &WriteTx, org: OrgId, project: ProjectId) -> Result<()> {
    let sql = "SELECT id FROM projects WHERE id = $1 AND frozen_at IS NOT NULL";
    let found = Project::find_by_statement(tx.sql(sql, [project.into()]))
        .one(tx.conn())
        .await?;
    match found {
        Some(_) => Err(super::frozen(tx, org).await),
        None => Ok(()),
    }
}
