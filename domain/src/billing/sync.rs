//! The one writer of what Stripe says. Whoever has a reason to think that something changed calls it: an event, a
//! checkout, a look round, an organisation that goes. It asks what there is now and writes that down, so it does not
//! matter how often it is called, in which order, or what was missed in between.

use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};

use super::customer::{self, Asked};
use super::dunning;
use super::entity::subscription as table;
use super::gateway::{BillingGateway, GatewayError, Item, SeatChange, Subscription};
use super::inbox::{self, EventState};
use super::plan::{PlanReason, apply_plan};
use super::price::{self, Sells};
use super::standing::{self, Entitlement, GRACE, Status, entitlement};
use super::subscription::{self, Subscribed};
use crate::access::Origin;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::config::Plan;
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Error, Reads, Result, Timestamp, WriteTx};
use crate::members::seats;
use crate::orgs::plan;

/// Why a look at Stripe came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Domain(#[from] Error),
}

impl From<SyncError> for Error {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Gateway(error) => error.into(),
            SyncError::Domain(error) => error,
        }
    }
}

/// What came of a look at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Synced {
    /// It is written down; these lanes are to be rung.
    Done(Vec<String>),
    /// Somebody asked later and may have written already: to be looked at again, if this was about something newer.
    Superseded,
    /// The organisation never was a customer, or its customer is of the other mode.
    NoCustomer,
}

/// What Stripe has of an organisation.
struct Found {
    chosen: Option<Subscription>,
    past_due_since: Option<Timestamp>,
}

/// Asks Stripe what a customer has and writes it down. The subscriptions of a deleted organisation are ended first.
///
/// # Errors
/// Stripe's, and [`Error::Db`]; nothing of ours has changed then.
pub async fn sync_customer(db: &Db, gateway: &dyn BillingGateway, org: OrgId) -> Result<Synced, SyncError> {
    if customer::of_org(db, org, gateway.is_live()).await?.is_none() {
        return Ok(Synced::NoCustomer);
    }
    let tx = db.begin_write().await?;
    let Some(asked) = customer::next_seq(&tx, org).await? else {
        tx.rollback().await?;
        return Ok(Synced::NoCustomer);
    };
    let covered = inbox::waiting(&tx, &asked.stripe_customer_id).await?;
    tx.commit_bookkeeping().await?;
    let found = ask(db, gateway, org, &asked).await?;
    let tx = db.begin_write().await?;
    if !is_newest(&tx, org, &asked).await? {
        tx.rollback().await?;
        return Ok(Synced::Superseded);
    }
    for event in &covered {
        inbox::end(&tx, event, EventState::Done).await?;
    }
    let lanes = if write(&tx, org, found).await? {
        tx.commit().await?
    } else {
        tx.commit_bookkeeping().await?
    };
    Ok(Synced::Done(lanes))
}

/// Everything that is asked of Stripe, while no transaction is open.
async fn ask(db: &Db, gateway: &dyn BillingGateway, org: OrgId, asked: &Asked) -> Result<Found, SyncError> {
    let customer = asked.stripe_customer_id.as_str();
    let mut all = subscriptions(gateway, customer).await?;
    let is_gone = plan::billed(db, org).await?.is_none_or(|billed| billed.is_deleted);
    if is_gone && all.iter().any(|subscription| !subscription.status.is_over()) {
        end_all(gateway, &all).await?;
        all = subscriptions(gateway, customer).await?;
    }
    let live = standing::live(&all);
    if live > 1 {
        tracing::warn!(%org, customer, live, "a customer has more than one subscription");
    }
    let mut chosen = standing::choose(&all).cloned();
    if let Some(subscription) = chosen.as_mut().filter(|_| !is_gone) {
        set_seats(db, gateway, org, asked, subscription).await?;
    }
    let past_due_since = match &chosen {
        Some(subscription) if subscription.status == Status::PastDue => {
            gateway.oldest_open_invoice(&subscription.id).await?
        }
        Some(_) | None => None,
    };
    Ok(Found { chosen, past_due_since })
}

/// A customer who was deleted at Stripe has nothing any more.
async fn subscriptions(gateway: &dyn BillingGateway, customer: &str) -> Result<Vec<Subscription>, SyncError> {
    match gateway.subscriptions(customer).await {
        Err(GatewayError::Missing | GatewayError::NoCustomer) => Ok(Vec::new()),
        found => Ok(found?),
    }
}

/// Ends every subscription; one that is gone already has ended.
async fn end_all(gateway: &dyn BillingGateway, all: &[Subscription]) -> Result<(), SyncError> {
    for subscription in all.iter().filter(|subscription| !subscription.status.is_over()) {
        let key = format!("cancel:{}", subscription.id);
        match gateway.cancel(&subscription.id, &key).await {
            Ok(()) | Err(GatewayError::Missing) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Where each of the organisation's people is paid for, Stripe is told how many there are. Nobody waits for that: they
/// are members already.
async fn set_seats(
    db: &Db,
    gateway: &dyn BillingGateway,
    org: OrgId,
    asked: &Asked,
    subscription: &mut Subscription,
) -> Result<(), SyncError> {
    if !matches!(subscription.status, Status::Active | Status::Trialing | Status::PastDue) {
        return Ok(());
    }
    let Some(item) = subscription.items.iter_mut().find(|item| item.price.per_seat) else {
        return Ok(());
    };
    let (have, want) = (item.quantity.unwrap_or(1), seats::count(db, org).await?);
    if have == want {
        return Ok(());
    }
    let change = SeatChange {
        subscription: subscription.id.clone(),
        item: item.id.clone(),
        quantity: want,
        prorate: want > have,
    };
    let key = format!("seats:{}:{want}:{}", subscription.id, asked.sync_seq);
    gateway.set_quantity(change, &key).await?;
    item.quantity = Some(want);
    Ok(())
}

/// Whether nobody has asked Stripe later. The row stays locked until the transaction ends.
async fn is_newest(tx: &WriteTx, org: OrgId, asked: &Asked) -> Result<bool> {
    let sql = "UPDATE billing_customers SET synced_at = $3 WHERE org_id = $1 AND sync_seq = $2";
    let values = [org.into(), asked.sync_seq.into(), tx.now().into()];
    let held = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(held.rows_affected() == 1)
}

/// Writes what was found; tells whether that is something for the journal.
async fn write(tx: &WriteTx, org: OrgId, found: Found) -> Result<bool> {
    let before = subscription::of_org(tx, org).await?;
    let Some(billed) = plan::billed(tx, org).await? else {
        return Ok(false);
    };
    let Some(mut now) = standing_now(tx, before.as_ref(), found).await? else {
        return Ok(false);
    };
    dunning::tell(tx, org, &billed, before.as_ref(), &mut now).await?;
    let entitled = entitled_plan(tx, &now).await?;
    now.plan = entitled.or(now.plan);
    store(tx, org, &now).await?;
    if let Some(plan) = entitled {
        let reason = match plan {
            Plan::Free => PlanReason::Ended,
            Plan::Team | Plan::Business | Plan::SelfHosted => PlanReason::Subscription,
        };
        if apply_plan(tx, &Origin::system(), org, plan, reason).await? {
            return Ok(true);
        }
    }
    if before.as_ref().is_some_and(|before| is_alike(before, &now)) {
        return Ok(false);
    }
    journal::record(tx, &Origin::system(), entry(org, &now)).await?;
    Ok(true)
}

/// What is to be written: what Stripe says, with what only we know. `None` when there never was anything.
async fn standing_now(tx: &WriteTx, before: Option<&Subscribed>, found: Found) -> Result<Option<Subscribed>> {
    let Found { chosen, past_due_since } = found;
    let Some(chosen) = chosen else {
        // Stripe has forgotten what it once told: it is over.
        return Ok(before.map(|before| Subscribed {
            status: Status::Canceled,
            past_due_since: None,
            grace_until: None,
            ..before.clone()
        }));
    };
    let item = main_item(tx, &chosen.items).await?;
    let was_due_since = before
        .filter(|before| before.stripe_id == chosen.id)
        .and_then(|before| before.past_due_since);
    let since =
        (chosen.status == Status::PastDue).then(|| past_due_since.or(was_due_since).unwrap_or_else(|| tx.now()));
    Ok(Some(Subscribed {
        stripe_id: chosen.id,
        status: chosen.status,
        price_id: item.map(|item| item.price.id.clone()),
        plan: before.and_then(|before| before.plan),
        quantity: item.and_then(|item| item.quantity),
        per_seat: item.is_some_and(|item| item.price.per_seat),
        current_period_end: item.map(|item| item.current_period_end),
        trial_end: chosen.trial_end,
        cancel_at_period_end: chosen.cancel_at_period_end,
        cancel_at: chosen.cancel_at,
        past_due_since: since,
        grace_until: since.map(|since| since + GRACE),
        dunning_sent: before.map_or(0, |before| before.dunning_sent),
        trial_told_for: before.and_then(|before| before.trial_told_for),
    }))
}

/// The line that is of one of our plans, or else the first. What its price is of is kept for when the lookup key moves on.
async fn main_item<'a>(tx: &WriteTx, items: &'a [Item]) -> Result<Option<&'a Item>> {
    for item in items {
        if item.price.lookup_key.as_deref().and_then(Sells::read).is_some() {
            price::keep(tx, &item.price).await?;
        }
    }
    let ids = items.iter().map(|item| item.price.id.clone()).collect();
    let plans = price::plans_of(tx, ids).await?;
    let of_ours = items.iter().find(|item| plans.contains_key(&item.price.id));
    Ok(of_ours.or(items.first()))
}

/// The plan that a subscription entitles to; `None` to leave it as it is.
async fn entitled_plan(tx: &WriteTx, now: &Subscribed) -> Result<Option<Plan>> {
    match entitlement(&now.status, now.grace_until, tx.now()) {
        Entitlement::Free => Ok(Some(Plan::Free)),
        Entitlement::Keep => {
            if let Status::Unknown(status) = &now.status {
                tracing::warn!(status, "a subscription has a status that is not known; its plan stays");
            }
            Ok(None)
        }
        Entitlement::Paid => {
            let prices: Vec<String> = now.price_id.iter().cloned().collect();
            let plan = price::plans_of(tx, prices).await?.into_values().next();
            if plan.is_none() {
                let (subscription, price) = (&now.stripe_id, now.price_id.as_deref());
                tracing::warn!(
                    subscription,
                    price,
                    "a subscription has a price of no plan; its plan stays"
                );
            }
            Ok(plan)
        }
    }
}

async fn store(tx: &WriteTx, org: OrgId, now: &Subscribed) -> Result<()> {
    let Subscribed {
        stripe_id,
        status,
        price_id,
        plan,
        quantity,
        per_seat,
        current_period_end,
        trial_end,
        cancel_at_period_end,
        cancel_at,
        past_due_since,
        grace_until,
        dunning_sent,
        trial_told_for,
    } = now.clone();
    let row = table::ActiveModel {
        org_id: Set(org),
        stripe_subscription_id: Set(stripe_id),
        status: Set(status.as_str().to_owned()),
        price_id: Set(price_id),
        plan: Set(plan.map(|plan| plan.as_str().to_owned())),
        quantity: Set(quantity),
        per_seat: Set(per_seat),
        current_period_end: Set(current_period_end),
        trial_end: Set(trial_end),
        cancel_at_period_end: Set(cancel_at_period_end),
        cancel_at: Set(cancel_at),
        past_due_since: Set(past_due_since),
        grace_until: Set(grace_until),
        dunning_sent: Set(dunning_sent),
        trial_told_for: Set(trial_told_for),
        updated_at: Set(tx.now()),
    };
    let renewed = OnConflict::column(table::Column::OrgId)
        .update_columns([
            table::Column::StripeSubscriptionId,
            table::Column::Status,
            table::Column::PriceId,
            table::Column::Plan,
            table::Column::Quantity,
            table::Column::PerSeat,
            table::Column::CurrentPeriodEnd,
            table::Column::TrialEnd,
            table::Column::CancelAtPeriodEnd,
            table::Column::CancelAt,
            table::Column::PastDueSince,
            table::Column::GraceUntil,
            table::Column::DunningSent,
            table::Column::TrialToldFor,
            table::Column::UpdatedAt,
        ])
        .to_owned();
    table::Entity::insert(row)
        .on_conflict(renewed)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

/// Whether nothing changed that anybody else would notice.
fn is_alike(before: &Subscribed, now: &Subscribed) -> bool {
    let unseen = Subscribed {
        dunning_sent: now.dunning_sent,
        trial_told_for: now.trial_told_for,
        ..before.clone()
    };
    unseen == *now
}

fn entry(org: OrgId, now: &Subscribed) -> Entry {
    let entry = Entry::in_org(org, Action::BillingUpdated, Target::Org(org))
        .with("status", now.status.as_str())
        .with("cancel_at_period_end", now.cancel_at_period_end);
    let entry = match now.quantity {
        Some(quantity) => entry.with("quantity", quantity),
        None => entry,
    };
    match now.current_period_end {
        Some(end) => entry.with("current_period_end", end.to_string()),
        None => entry,
    }
}
