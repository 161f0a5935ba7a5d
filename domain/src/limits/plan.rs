//! The plan of an organisation: given by the instance, set by hand, or following a subscription.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::freeze;
use super::resolve::read_plan;
use crate::billing::subscription;
use crate::kernel::config::Plan;
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Error, Problem, Reads, Result, Timestamp, WriteTx};

/// Where the plan of an organisation comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanSource {
    /// What every organisation of the instance has.
    Default,
    /// An administrator of the instance set it.
    Admin,
    /// It follows what is paid for.
    Subscription,
}

impl PlanSource {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Admin => "admin",
            Self::Subscription => "subscription",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Default, Self::Admin, Self::Subscription]
            .into_iter()
            .find(|source| source.as_str() == text)
    }
}

/// What the payment service says of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Its word for it: `active`, `past_due`, `canceled`, …
    pub status: String,
    /// When what is paid for ends.
    pub period_end: Option<Timestamp>,
    pub cancel_at_period_end: bool,
    /// Until when an unpaid plan goes on.
    pub grace_until: Option<Timestamp>,
}

/// How an organisation stands.
#[derive(Clone, Debug)]
pub struct Standing {
    pub plan: Plan,
    pub source: PlanSource,
    /// `None` for one that never had any.
    pub subscription: Option<Subscription>,
    /// Since when it has more than its plan allows.
    pub over_limit_since: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Row {
    plan: String,
    plan_source: String,
    over_limit_since: Option<Timestamp>,
}

/// # Errors
/// `not_found` when the organisation is gone.
pub async fn standing(from: &impl Reads, org: OrgId) -> Result<Standing> {
    let sql = "SELECT plan, plan_source, over_limit_since FROM orgs WHERE id = $1";
    let row = Row::find_by_statement(from.sql(sql, [org.into()]))
        .one(from.conn())
        .await?;
    let Row {
        plan,
        plan_source,
        over_limit_since,
    } = row.ok_or_else(Problem::not_found)?;
    let broken = || Error::internal(format!("organisation {org} is stored wrongly"));
    let subscribed = subscription::of_org(from, org).await?;
    Ok(Standing {
        plan: read_plan(&plan)?,
        source: PlanSource::parse(&plan_source).ok_or_else(broken)?,
        subscription: subscribed.map(|subscribed| Subscription {
            status: subscribed.status.as_str().to_owned(),
            period_end: subscribed.current_period_end,
            cancel_at_period_end: subscribed.cancel_at_period_end || subscribed.cancel_at.is_some(),
            grace_until: subscribed.grace_until,
        }),
        over_limit_since,
    })
}

/// Gives the organisations that are on no plan of their own the one of the instance. Where plans are sold they keep
/// what they have.
///
/// # Errors
/// [`Error::Db`].
pub async fn adopt_default(db: &Db) -> Result<()> {
    if db.billing().is_enabled {
        return Ok(());
    }
    let tx = db.begin_write().await?;
    let sql = "UPDATE orgs SET plan = $1, plan_since = $2 WHERE plan_source = $3 AND plan <> $1";
    let values = [
        db.billing().first_plan.as_str().into(),
        tx.now().into(),
        PlanSource::Default.as_str().into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}

/// The plan that nobody set by hand, and where it comes from: that of the subscription, as Stripe last told of it, or that
/// of the instance.
///
/// # Errors
/// [`Error::Db`].
pub async fn unset(tx: &WriteTx, org: OrgId) -> Result<(Plan, PlanSource)> {
    let billing = tx.billing();
    if billing.is_enabled
        && let Some(plan) = subscription::of_org(tx, org)
            .await?
            .and_then(|subscribed| subscribed.plan)
    {
        return Ok((plan, PlanSource::Subscription));
    }
    Ok((billing.first_plan, PlanSource::Default))
}

/// Puts an organisation on a plan; the caller journals. Nothing is deleted when it has more than the plan allows; what
/// is frozen is let go at once when it has not any more.
///
/// # Errors
/// [`Error::Db`].
pub async fn set(tx: &WriteTx, org: OrgId, plan: Plan, source: PlanSource) -> Result<()> {
    let sql =
        "UPDATE orgs SET plan_since = CASE WHEN plan = $2 THEN plan_since ELSE $4 END, plan = $2, plan_source = $3
        WHERE id = $1";
    let values = [
        org.into(),
        plan.as_str().into(),
        source.as_str().into(),
        tx.now().into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    freeze::refresh(tx, org).await
}
