//! From three levels to one: a limit is what was set for the organisation, or else for its plan, or else what the plan
//! has built in; each key by itself.

use std::time::Duration;

use sea_orm::FromQueryResult;

use super::key::{Limit, LimitKey, Source};
use crate::kernel::config::Plan;
use crate::kernel::id::OrgId;
use crate::kernel::{Error, Problem, Reads, Result, Timestamp};

/// A limit that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effective {
    pub key: LimitKey,
    pub limit: Limit,
    pub source: Source,
}

/// What was set at each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    pub of_org: Option<Limit>,
    pub of_plan: Option<Limit>,
}

impl Levels {
    /// The first level that says something.
    pub fn resolve(self, key: LimitKey, plan: Plan) -> Effective {
        let (limit, source) = match (self.of_org, self.of_plan) {
            (Some(limit), _) => (limit, Source::Override),
            (None, Some(limit)) => (limit, Source::Plan),
            (None, None) => (key.builtin(plan), Source::Builtin),
        };
        Effective { key, limit, source }
    }
}

/// The same in SQL, for one key and an organisation `o` of the query; `now` is the mark of the instant. Enforcing it
/// takes no statement of its own.
pub(crate) fn sql_of(key: LimitKey, now: &str) -> String {
    let name = key.as_str();
    let case = |plan: &Plan| format!(" WHEN '{}' THEN {}", plan.as_str(), key.builtin_number(*plan));
    let cases: Vec<_> = Plan::ALL.iter().map(case).collect();
    format!(
        "COALESCE(
            (SELECT v.value FROM limit_overrides v WHERE v.org_id = o.id AND v.key = '{name}'
                AND (v.expires_at IS NULL OR v.expires_at > {now})),
            (SELECT l.value FROM plan_limits l WHERE l.plan = o.plan AND l.key = '{name}' AND l.ended_at IS NULL),
            CASE o.plan{} ELSE -1 END)",
        cases.concat()
    )
}

#[derive(FromQueryResult)]
struct PlanOf {
    plan: String,
}

/// The plan of an organisation.
///
/// # Errors
/// `not_found` when it is gone.
pub async fn plan_of(from: &impl Reads, org: OrgId) -> Result<Plan> {
    let sql = "SELECT plan FROM orgs WHERE id = $1";
    let row = PlanOf::find_by_statement(from.sql(sql, [org.into()]))
        .one(from.conn())
        .await?;
    read_plan(&row.ok_or_else(Problem::not_found)?.plan)
}

pub(super) fn read_plan(text: &str) -> Result<Plan> {
    Plan::parse(text).ok_or_else(|| Error::internal("an organisation is on a plan that there is not"))
}

#[derive(FromQueryResult)]
struct Stored {
    level: String,
    key: String,
    value: i64,
}

/// Every limit of an organisation.
///
/// # Errors
/// [`Error::Db`].
pub async fn of_org(from: &impl Reads, org: OrgId, plan: Plan) -> Result<Vec<Effective>> {
    let sql = "SELECT 'override' AS level, key, value FROM limit_overrides
            WHERE org_id = $1 AND (expires_at IS NULL OR expires_at > $2)
        UNION ALL SELECT 'plan', key, value FROM plan_limits WHERE plan = $3 AND ended_at IS NULL";
    let values = [org.into(), from.now().into(), plan.as_str().into()];
    let rows = Stored::find_by_statement(from.sql(sql, values))
        .all(from.conn())
        .await?;
    let said = |key: LimitKey, level: Source| {
        let mut rows = rows.iter();
        let row = rows.find(|row| row.key == key.as_str() && row.level == level.as_str())?;
        Limit::from_number(row.value)
    };
    let effective = |key: &LimitKey| {
        let levels = Levels {
            of_org: said(*key, Source::Override),
            of_plan: said(*key, Source::Plan),
        };
        levels.resolve(*key, plan)
    };
    Ok(LimitKey::ALL.iter().map(effective).collect())
}

/// One limit of an organisation.
///
/// # Errors
/// [`Error::Db`]; `not_found` when the organisation is gone.
pub async fn one(from: &impl Reads, org: OrgId, key: LimitKey) -> Result<(Plan, Effective)> {
    let plan = plan_of(from, org).await?;
    let all = of_org(from, org, plan).await?;
    let found = all.into_iter().find(|effective| effective.key == key);
    let found = found.ok_or_else(|| Error::internal("a limit that is in no table"))?;
    Ok((plan, found))
}

#[derive(FromQueryResult)]
struct Limited {
    id: OrgId,
}

/// The organisations for which anything is limited now, or was when they were looked at last.
///
/// # Errors
/// [`Error::Db`].
pub async fn limited(from: &impl Reads) -> Result<Vec<OrgId>> {
    let sql = "SELECT id FROM orgs WHERE deleted_at IS NULL AND (over_limit_since IS NOT NULL OR plan <> 'self_hosted'
            OR EXISTS (SELECT 1 FROM limit_overrides v WHERE v.org_id = orgs.id)
            OR EXISTS (SELECT 1 FROM plan_limits l WHERE l.plan = orgs.plan AND l.ended_at IS NULL)) ORDER BY id";
    let rows = Limited::find_by_statement(from.sql(sql, [])).all(from.conn()).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

#[derive(FromQueryResult)]
struct Since {
    value: i64,
    since: Timestamp,
}

/// The limit of a key that an organisation has had for so long; `None` while it is younger, and where there is none.
/// What was set for a while and has ended makes that young which counts instead.
///
/// # Errors
/// [`Error::Db`].
pub async fn settled(from: &impl Reads, org: OrgId, key: LimitKey, age: Duration) -> Result<Option<u64>> {
    let value = sql_of(key, "$2");
    let later = |one: &str, other: &str| format!("CASE WHEN {one} > {other} THEN {one} ELSE {other} END");
    let of_plan = format!(
        "COALESCE((SELECT {} FROM plan_limits l WHERE l.plan = o.plan AND l.key = $3), o.plan_since)",
        later("COALESCE(l.ended_at, l.updated_at)", "o.plan_since")
    );
    let of_org = "SELECT v.set_at FROM limit_overrides v WHERE v.org_id = o.id AND v.key = $3
        AND (v.expires_at IS NULL OR v.expires_at > $2)";
    let ended = "COALESCE((SELECT v.expires_at FROM limit_overrides v WHERE v.org_id = o.id AND v.key = $3
        AND v.expires_at <= $2), 0)";
    let sql = format!(
        "SELECT {value} AS value, COALESCE(({of_org}), {}) AS since FROM orgs o WHERE o.id = $1",
        later(ended, &of_plan)
    );
    let values = [org.into(), from.now().into(), key.as_str().into()];
    let row = Since::find_by_statement(from.sql(&sql, values))
        .one(from.conn())
        .await?;
    let old = row.filter(|row| row.since + age <= from.now());
    Ok(old.and_then(|row| match Limit::from_number(row.value) {
        Some(Limit::Max(max)) => Some(max),
        Some(Limit::Unlimited) | None => None,
    }))
}

/// What was set for one organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    pub key: LimitKey,
    pub limit: Limit,
    pub reason: String,
    pub expires_at: Option<Timestamp>,
    pub set_at: Timestamp,
}

#[derive(FromQueryResult)]
struct OverrideRow {
    key: String,
    value: i64,
    reason: String,
    expires_at: Option<Timestamp>,
    set_at: Timestamp,
}

/// What was set for an organisation and is in force, in the order of the keys.
///
/// # Errors
/// [`Error::Db`].
pub async fn overrides(from: &impl Reads, org: OrgId) -> Result<Vec<Override>> {
    let sql = "SELECT key, value, reason, expires_at, set_at FROM limit_overrides
        WHERE org_id = $1 AND (expires_at IS NULL OR expires_at > $2)";
    let rows = OverrideRow::find_by_statement(from.sql(sql, [org.into(), from.now().into()]))
        .all(from.conn())
        .await?;
    let read = |row: OverrideRow| {
        Some(Override {
            key: LimitKey::parse(&row.key)?,
            limit: Limit::from_number(row.value)?,
            reason: row.reason,
            expires_at: row.expires_at,
            set_at: row.set_at,
        })
    };
    let mut read: Vec<_> = rows.into_iter().filter_map(read).collect();
    read.sort_by_key(|set| set.key);
    Ok(read)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit() -> impl Strategy<Value = Option<Limit>> {
        prop_oneof![
            Just(None),
            Just(Some(Limit::Unlimited)),
            (0_u64..1_000_000).prop_map(|max| Some(Limit::Max(max))),
        ]
    }

    proptest! {
        #[test]
        fn the_first_level_that_says_something_counts(
            of_org in limit(), of_plan in limit(), key in 0..LimitKey::ALL.len(), plan in 0..Plan::ALL.len(),
        ) {
            let (key, plan) = (LimitKey::ALL[key], Plan::ALL[plan]);
            let found = Levels { of_org, of_plan }.resolve(key, plan);
            let expected = of_org.or(of_plan).unwrap_or_else(|| key.builtin(plan));
            prop_assert_eq!(found.limit, expected);
            let source = match (of_org, of_plan) {
                (Some(_), _) => Source::Override,
                (None, Some(_)) => Source::Plan,
                (None, None) => Source::Builtin,
            };
            prop_assert_eq!((found.source, found.key), (source, key));
        }
    }
}
