//! Organisations as an administrator of the instance sees them: their plans, their limits and how much they use, and
//! nothing of what is in them.

use std::collections::BTreeMap;

use sea_orm::{FromQueryResult, Value};

use super::Superuser;
use crate::access::Caller;
use crate::billing::customer;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::config::Plan;
use crate::kernel::id::OrgId;
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, Reads, Result, Timestamp, WriteTx};
use crate::limits::overrides::{self, NewOverrides};
use crate::limits::plan::{self, PlanSource, Standing};
use crate::limits::resolve::{self, Override};
use crate::limits::usage::{self, Used};
use crate::limits::{Limit, freeze};
use crate::members::ownership;

/// An organisation of the instance.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: OrgId,
    pub slug: String,
    pub name: String,
    pub is_personal: bool,
    pub plan: Plan,
    /// `default`, `admin` or `subscription`.
    pub plan_source: String,
    /// Of the whole organisation, by the names of limits, as the counters say.
    pub usage: BTreeMap<String, u64>,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
}

/// One organisation, with its limits.
#[derive(Clone, Debug)]
pub struct Shown {
    pub org: Listed,
    pub standing: Standing,
    pub limits: Vec<Used>,
    pub overrides: Vec<Override>,
}

#[derive(FromQueryResult)]
struct Row {
    id: OrgId,
    slug: String,
    name: String,
    is_personal: bool,
    plan: String,
    plan_source: String,
    created_at: Timestamp,
    deleted_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

#[derive(FromQueryResult)]
struct Counter {
    org_id: OrgId,
    resource: String,
    used: i64,
}

const COLUMNS: &str = "SELECT id, slug, name, is_personal, plan, plan_source, created_at, deleted_at FROM orgs";

impl Row {
    fn listed(self, usage: BTreeMap<String, u64>) -> Result<Listed> {
        let Self {
            id,
            slug,
            name,
            is_personal,
            plan,
            plan_source,
            created_at,
            deleted_at,
        } = self;
        let broken = || Error::internal(format!("organisation {id} is stored wrongly"));
        Ok(Listed {
            id,
            slug,
            name,
            is_personal,
            plan: Plan::parse(&plan).ok_or_else(broken)?,
            plan_source,
            usage,
            created_at,
            deleted_at,
        })
    }
}

/// Which organisations are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Part of a slug or name, whatever its case.
    pub search: Option<String>,
    pub plan: Option<Plan>,
}

/// Every organisation of the instance, deleted ones too, by name.
///
/// # Errors
/// [`Error::Db`].
pub async fn list(from: &impl Reads, _: &Superuser, filter: &Filter, page: PageRequest) -> Result<Page<Listed>> {
    let mut values: Vec<Value> = Vec::new();
    let mut conditions = vec!["1 = 1".to_owned()];
    if let Some(search) = filter.search.as_deref().filter(|search| !search.is_empty()) {
        values.push(containing(search).into());
        let mark = values.len();
        conditions.push(format!(
            "(slug LIKE ${mark} ESCAPE '!' OR lower(name) LIKE ${mark} ESCAPE '!')"
        ));
    }
    if let Some(plan) = filter.plan {
        values.push(plan.as_str().into());
        conditions.push(format!("plan = ${}", values.len()));
    }
    let wanted = conditions.join(" AND ");
    let counting = format!("SELECT COUNT(*) AS n FROM orgs WHERE {wanted}");
    let count = Count::find_by_statement(from.sql(&counting, values.clone()))
        .one(from.conn())
        .await?;
    let PageRequest { limit, offset } = page;
    let sql = format!("{COLUMNS} WHERE {wanted} ORDER BY name, id LIMIT {limit} OFFSET {offset}");
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    let ids: Vec<OrgId> = rows.iter().map(|row| row.id).collect();
    let mut usage = counters(from, &ids).await?;
    let listed = rows.into_iter().map(|row| {
        let own = usage.remove(&row.id).unwrap_or_default();
        row.listed(own)
    });
    Ok(Page {
        data: listed.collect::<Result<_>>()?,
        request: page,
        total: u64::try_from(count.map_or(0, |count| count.n)).unwrap_or(0),
    })
}

/// A pattern for text that contains this.
fn containing(search: &str) -> String {
    let literal = |c: char| match c {
        '%' | '_' | '!' => vec!['!', c],
        _ => vec![c],
    };
    let search = search.to_lowercase();
    format!("%{}%", search.chars().flat_map(literal).collect::<String>())
}

/// What the counters of whole organisations say.
async fn counters(from: &impl Reads, orgs: &[OrgId]) -> Result<BTreeMap<OrgId, BTreeMap<String, u64>>> {
    let mut usage: BTreeMap<OrgId, BTreeMap<String, u64>> = BTreeMap::new();
    if orgs.is_empty() {
        return Ok(usage);
    }
    let is_one = is_one_of(from.backend(), "org_id", "$1");
    let sql = format!("SELECT org_id, resource, used FROM usage_counters WHERE scope_id = org_id AND {is_one}");
    let ids = id_param(orgs.iter().map(|org| org.0));
    let rows = Counter::find_by_statement(from.sql(&sql, [ids]))
        .all(from.conn())
        .await?;
    for Counter { org_id, resource, used } in rows {
        let own = usage.entry(org_id).or_default();
        own.insert(resource, u64::try_from(used).unwrap_or(0));
    }
    Ok(usage)
}

async fn find(from: &impl Reads, reference: &str) -> Result<Row> {
    let (column, value) = match reference.parse::<OrgId>() {
        Ok(id) => ("id", Value::from(id)),
        Err(_) => ("slug", Value::from(reference)),
    };
    let sql = format!("{COLUMNS} WHERE {column} = $1");
    let row = Row::find_by_statement(from.sql(&sql, [value])).one(from.conn()).await?;
    Ok(row.ok_or_else(Problem::not_found)?)
}

/// One organisation by its id or slug.
///
/// # Errors
/// `not_found`.
pub async fn get(from: &impl Reads, _: &Superuser, reference: &str) -> Result<Shown> {
    shown(from, find(from, reference).await?).await
}

async fn shown(from: &impl Reads, row: Row) -> Result<Shown> {
    let id = row.id;
    let mut usage = counters(from, &[id]).await?;
    Ok(Shown {
        org: row.listed(usage.remove(&id).unwrap_or_default())?,
        standing: plan::standing(from, id).await?,
        limits: usage::of_org(from, id).await?,
        overrides: resolve::overrides(from, id).await?,
    })
}

/// What becomes of an organisation's plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanChange {
    /// It stays what it is, and where it comes from.
    #[default]
    Keep,
    /// It is this one, whatever is paid for.
    Set(Plan),
    /// It is that of the subscription again, or that of the instance.
    Unset,
}

/// Changes to an organisation's plan and limits; absent ones stay.
#[derive(Clone, Debug, Default)]
pub struct OrgPatch {
    pub plan: PlanChange,
    pub overrides: NewOverrides,
}

/// Sets an organisation's plan or limits. It holds from the next change on; what there is too much of then stays.
///
/// # Errors
/// `not_found`, `invalid_field`.
pub async fn update(tx: &WriteTx, caller: &Caller, _: &Superuser, reference: &str, patch: OrgPatch) -> Result<Shown> {
    let OrgPatch { plan, overrides } = patch;
    let id = find(tx, reference).await?.id;
    ownership::lock(tx, id).await?;
    let before = plan::standing(tx, id).await?;
    let set_before = resolve::overrides(tx, id).await?;
    overrides::set(tx, id, &overrides).await?;
    let (plan, source) = change_plan(tx, id, plan, &before).await?;
    let set: serde_json::Map<String, serde_json::Value> = overrides
        .limits
        .iter()
        .map(|(key, limit)| (key.as_str().to_owned(), limit.map(Limit::to_number).into()))
        .collect();
    let were: serde_json::Map<String, serde_json::Value> = set_before
        .iter()
        .map(|set| (set.key.as_str().to_owned(), set.limit.to_number().into()))
        .collect();
    let entry = Entry::in_org(id, Action::OrgLimitsSet, Target::Org(id))
        .with("plan", plan.as_str())
        .with("plan_before", before.plan.as_str())
        .with("plan_source", source.as_str())
        .with("plan_source_before", before.source.as_str())
        .with("limits", set)
        .with("limits_before", were)
        .with("reason", overrides.reason.clone());
    journal::record(tx, &caller.origin, entry).await?;
    shown(tx, find(tx, &id.to_string()).await?).await
}

/// Puts the organisation on the plan that it is to have; returns that and where it comes from.
async fn change_plan(tx: &WriteTx, org: OrgId, change: PlanChange, before: &Standing) -> Result<(Plan, PlanSource)> {
    let (plan, source) = match change {
        PlanChange::Keep => {
            freeze::refresh(tx, org).await?;
            return Ok((before.plan, before.source));
        }
        PlanChange::Set(plan) => (plan, PlanSource::Admin),
        PlanChange::Unset => {
            // What Stripe told last may be old: while the plan was set by hand nobody depended on it.
            if tx.billing().is_enabled {
                customer::ask_for_sync(tx, org).await?;
            }
            plan::unset(tx, org).await?
        }
    };
    plan::set(tx, org, plan, source).await?;
    Ok((plan, source))
}
