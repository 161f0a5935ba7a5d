//! What finds out that we missed something: looks that any worker takes, each once in a while. What they find is put right
//! by [`super::sync::sync_customer`], in jobs.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::gateway::{BillingGateway, Listed, Subscription};
use super::standing::{self, Entitlement, Status};
use super::subscription::{self, Subscribed};
use super::sync::SyncError;
use super::{Billing, customer, dunning, inbox, price};
use crate::kernel::config::Plan;
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Reads, Result, Timestamp, WriteTx};
use crate::members::seats;
use crate::orgs::plan;

/// Pages of one list that are looked at.
const MOST_PAGES: usize = 50;
/// A subscription that Stripe was not asked about for this long is asked about.
const STALE: Duration = Duration::from_hours(6);
/// A look that failed is taken again after this long.
const AGAIN: Duration = Duration::from_mins(1);
/// A look that nobody has told the end of is taken again after this long: whoever took it died over it.
const LEASE: Duration = Duration::from_mins(5);

/// A look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Events that Stripe could not deliver.
    Undelivered,
    /// What is due by the time alone: graces, reminders, seats; and what was not asked about for long.
    Due,
    Prices,
    /// Everything that Stripe has against everything that we have.
    Everything,
}

impl Look {
    pub const ALL: [Self; 4] = [Self::Prices, Self::Undelivered, Self::Due, Self::Everything];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undelivered => "undelivered",
            Self::Due => "due",
            Self::Prices => "prices",
            Self::Everything => "everything",
        }
    }

    /// How often it is taken.
    pub const fn every(self) -> Duration {
        match self {
            Self::Undelivered | Self::Due => Duration::from_mins(10),
            Self::Prices => Duration::from_hours(1),
            Self::Everything => Duration::from_hours(24),
        }
    }
}

/// How Stripe and we disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drift {
    /// Stripe has a subscription of ours that we do not know.
    Unknown,
    /// We know it in another state.
    Differs,
    /// We know one that Stripe says is not there any more.
    Gone,
    /// Somebody still pays for an organisation that is gone for good.
    Orphan,
}

impl Drift {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Differs => "differs",
            Self::Gone => "gone",
            Self::Orphan => "orphan",
        }
    }
}

#[derive(FromQueryResult)]
struct Row {
    org_id: OrgId,
}

#[derive(FromQueryResult)]
struct Counted {
    kind: String,
    total: i64,
}

#[derive(FromQueryResult)]
struct Ran {
    name: String,
    ran_at: Timestamp,
}

/// The looks whose time has come.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn due_looks(db: &Db) -> Result<Vec<Look>> {
    let sql = "SELECT name, ran_at FROM billing_runs";
    let ran = Ran::find_by_statement(db.sql(sql, [])).all(db.conn()).await?;
    let ran: HashMap<String, Timestamp> = ran.into_iter().map(|row| (row.name, row.ran_at)).collect();
    let is_due = |look: &Look| ran.get(look.as_str()).is_none_or(|at| *at + look.every() <= db.now());
    Ok(Look::ALL.into_iter().filter(is_due).collect())
}

/// Takes a look, unless another process took it; the lanes to ring. When `cut` comes before its end, it is given back and
/// is due at once, in this process or another.
///
/// # Errors
/// Stripe's, and [`crate::kernel::Error::Db`]; then it is taken again in a minute.
pub async fn take(
    db: &Db,
    billing: &Billing,
    look: Look,
    cut: impl Future<Output = ()> + Send,
) -> Result<Vec<String>, SyncError> {
    let began = db.now();
    let Some(leased) = claim(db, look).await? else {
        return Ok(Vec::new());
    };
    let taken = tokio::select! {
        biased;
        () = cut => None,
        taken = work(db, billing, look) => Some(taken),
    };
    let ran_at = match &taken {
        Some(Ok(_)) => began,
        Some(Err(_)) => db.now() + AGAIN - look.every(),
        None => began - look.every(),
    };
    end(db, look, leased, ran_at).await?;
    taken.unwrap_or(Ok(Vec::new()))
}

async fn work(db: &Db, billing: &Billing, look: Look) -> Result<Vec<String>, SyncError> {
    let gateway = billing.gateway()?;
    match look {
        Look::Undelivered => undelivered(db, gateway).await,
        Look::Due => due(db).await.map_err(SyncError::from),
        Look::Prices => price::refresh(db, gateway).await.map(|()| Vec::new()),
        Look::Everything => everything(db, gateway, billing.deployment()).await,
    }
}

/// Takes a look for as long as a look may take; what is noted until its end. `None` when it is not due any more.
async fn claim(db: &Db, look: Look) -> Result<Option<Timestamp>> {
    let tx = db.begin_write().await?;
    let leased = tx.now() + LEASE - look.every();
    let sql = "INSERT INTO billing_runs (name, ran_at) VALUES ($1, $2)
        ON CONFLICT (name) DO UPDATE SET ran_at = $2 WHERE billing_runs.ran_at <= $3";
    let values = [look.as_str().into(), leased.into(), (tx.now() - look.every()).into()];
    let claimed = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok((claimed.rows_affected() == 1).then_some(leased))
}

/// Notes the end of a look, unless another process has taken it meanwhile.
async fn end(db: &Db, look: Look, leased: Timestamp, ran_at: Timestamp) -> Result<()> {
    let tx = db.begin_write().await?;
    let sql = "UPDATE billing_runs SET ran_at = $3 WHERE name = $1 AND ran_at = $2";
    let values = [look.as_str().into(), leased.into(), ran_at.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}

/// Takes in the events that Stripe could not deliver. It lists those of the last thirty days.
async fn undelivered(db: &Db, gateway: &dyn BillingGateway) -> Result<Vec<String>, SyncError> {
    let mut lanes = Vec::new();
    let mut found = 0_usize;
    for kinds in inbox::KINDS {
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let Listed { data, has_more } = gateway.undelivered_events(kinds, after.as_deref()).await?;
            let tx = db.begin_write().await?;
            for event in &data {
                found += usize::from(inbox::recover(&tx, event, gateway.is_live()).await?);
            }
            lanes.extend(tx.commit_bookkeeping().await?);
            after = data.last().map(|event| event.id.clone());
            if !has_more || after.is_none() {
                break;
            }
        }
    }
    if found > 0 {
        tracing::warn!(events = found, "took in events that Stripe could not deliver");
    }
    Ok(lanes)
}

/// Queues a look at every subscription about which something is due, or which nobody asked about for long.
async fn due(db: &Db) -> Result<Vec<String>> {
    let sql = "SELECT c.org_id FROM billing_customers c JOIN billing_subscriptions s ON s.org_id = c.org_id
        WHERE s.status NOT IN ('canceled', 'incomplete_expired')";
    let live = Row::find_by_statement(db.sql(sql, [])).all(db.conn()).await?;
    let mut waiting = Vec::new();
    for Row { org_id } in live {
        if is_due(db, org_id).await? {
            waiting.push(org_id);
        }
    }
    ask(db, &waiting).await
}

async fn is_due(db: &Db, org: OrgId) -> Result<bool> {
    let now = db.now();
    let (Some(found), Some(billed)) = (subscription::of_org(db, org).await?, plan::billed(db, org).await?) else {
        return Ok(false);
    };
    let synced_at = customer::synced_at(db, org).await?;
    if billed.is_deleted || synced_at.is_none_or(|at| at + STALE <= now) {
        return Ok(true);
    }
    if time_tells(&found, now) {
        return Ok(true);
    }
    Ok(found.per_seat && found.quantity != Some(seats::count(db, org).await?))
}

/// Whether the time alone has changed something: a grace is over, a reminder is due, a trial is about to end.
fn time_tells(found: &Subscribed, now: Timestamp) -> bool {
    let is_over = standing::entitlement(&found.status, found.grace_until, now) == Entitlement::Free
        && found.plan != Some(Plan::Free);
    let is_reminder_due = found.status == Status::PastDue
        && found
            .past_due_since
            .is_some_and(|since| dunning::due(since, now) > found.dunning_sent);
    let is_trial_ending = found.status == Status::Trialing
        && found.trial_end != found.trial_told_for
        && found.trial_end.is_some_and(|end| end <= now + dunning::TRIAL_NOTICE);
    is_over || is_reminder_due || is_trial_ending
}

/// Queues a look at Stripe for each.
async fn ask(db: &Db, orgs: &[OrgId]) -> Result<Vec<String>> {
    if orgs.is_empty() {
        return Ok(Vec::new());
    }
    let tx = db.begin_write().await?;
    for org in orgs {
        customer::ask_again(&tx, *org).await?;
    }
    tx.commit_bookkeeping().await
}

/// Holds everything that Stripe has of this installation's against everything that we have.
async fn everything(db: &Db, gateway: &dyn BillingGateway, deployment: &str) -> Result<Vec<String>, SyncError> {
    let mut theirs: HashMap<OrgId, Vec<Subscription>> = HashMap::new();
    let mut after: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let Listed { data, has_more } = gateway.live_subscriptions(after.as_deref()).await?;
        after = data.last().map(|subscription| subscription.id.clone());
        for subscription in data {
            let is_ours = subscription.deployment.as_deref() == Some(deployment);
            let org = subscription.org_id.as_deref().and_then(|org| org.parse::<OrgId>().ok());
            if let Some(org) = org.filter(|_| is_ours) {
                theirs.entry(org).or_default().push(subscription);
            }
        }
        if !has_more || after.is_none() {
            after = None;
            break;
        }
    }
    // With a list that was cut short nothing can be said to be gone.
    let is_whole = after.is_none();
    Ok(compare(db, theirs, is_whole).await?)
}

async fn compare(db: &Db, theirs: HashMap<OrgId, Vec<Subscription>>, is_whole: bool) -> Result<Vec<String>> {
    let mut drifts = Vec::new();
    for (org, subscriptions) in &theirs {
        if plan::billed(db, *org).await?.is_none() {
            tracing::error!(%org, "somebody pays for an organisation that is gone: end it at Stripe");
            drifts.push((*org, Drift::Orphan));
            continue;
        }
        let ours = subscription::of_org(db, *org).await?;
        let chosen = standing::choose(subscriptions);
        match (ours, chosen) {
            (Some(ours), Some(chosen)) if ours.stripe_id == chosen.id && ours.status == chosen.status => {}
            (Some(_), _) => drifts.push((*org, Drift::Differs)),
            (None, _) => drifts.push((*org, Drift::Unknown)),
        }
    }
    if is_whole {
        let known: HashSet<OrgId> = theirs.into_keys().collect();
        for org in live_here(db).await? {
            if !known.contains(&org) {
                drifts.push((org, Drift::Gone));
            }
        }
    }
    count(db, &drifts).await?;
    let orgs: Vec<OrgId> = drifts.iter().map(|(org, _)| *org).collect();
    ask(db, &orgs).await
}

async fn live_here(db: &Db) -> Result<Vec<OrgId>> {
    let sql = "SELECT org_id FROM billing_subscriptions WHERE status NOT IN ('canceled', 'incomplete_expired')";
    let rows = Row::find_by_statement(db.sql(sql, [])).all(db.conn()).await?;
    Ok(rows.into_iter().map(|row| row.org_id).collect())
}

async fn count(db: &Db, drifts: &[(OrgId, Drift)]) -> Result<()> {
    if drifts.is_empty() {
        return Ok(());
    }
    let tx = db.begin_write().await?;
    for (org, drift) in drifts {
        tracing::warn!(%org, kind = drift.as_str(), "Stripe and we disagreed");
        add(&tx, *drift).await?;
    }
    tx.commit_bookkeeping().await?;
    Ok(())
}

async fn add(tx: &WriteTx, drift: Drift) -> Result<()> {
    let sql = "INSERT INTO billing_drift (kind, total, last_at) VALUES ($1, 1, $2)
        ON CONFLICT (kind) DO UPDATE SET total = billing_drift.total + 1, last_at = $2";
    let values = [drift.as_str().into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// How often Stripe and we were found to disagree, by how: the metric `billing_drift_total`.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn drift(from: &impl Reads) -> Result<HashMap<String, i64>> {
    let rows = Counted::find_by_statement(from.sql("SELECT kind, total FROM billing_drift", []))
        .all(from.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.total)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(status: &str) -> Subscribed {
        Subscribed {
            stripe_id: "sub_1".to_owned(),
            status: Status::parse(status),
            price_id: None,
            plan: Some(Plan::Team),
            quantity: None,
            per_seat: false,
            current_period_end: None,
            trial_end: None,
            cancel_at_period_end: false,
            cancel_at: None,
            past_due_since: None,
            grace_until: None,
            dunning_sent: 0,
            trial_told_for: None,
        }
    }

    #[test]
    fn time_alone_ends_a_grace_and_brings_reminders() {
        let since = Timestamp(1_900_000_000_000_000);
        let behind = Subscribed {
            past_due_since: Some(since),
            grace_until: Some(since + standing::GRACE),
            dunning_sent: 1,
            ..found("past_due")
        };
        let after = |days: u64| since + Duration::from_hours(24 * days);
        assert!(!time_tells(&behind, after(2)));
        assert!(time_tells(&behind, after(3)));
        let told = Subscribed {
            dunning_sent: 4,
            ..behind
        };
        assert!(!time_tells(&told, after(13)));
        assert!(time_tells(&told, after(14)));
        let over = Subscribed {
            plan: Some(Plan::Free),
            ..told
        };
        assert!(!time_tells(&over, after(14)), "it is over and done with");
    }

    #[test]
    fn the_end_of_a_trial_is_told_once() {
        let end = Timestamp(1_900_000_000_000_000);
        let trial = Subscribed {
            trial_end: Some(end),
            ..found("trialing")
        };
        assert!(!time_tells(&trial, end - Duration::from_hours(73)));
        assert!(time_tells(&trial, end - Duration::from_hours(72)));
        let told = Subscribed {
            trial_told_for: Some(end),
            ..trial
        };
        assert!(!time_tells(&told, end));
    }
}
