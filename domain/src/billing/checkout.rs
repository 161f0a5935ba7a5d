//! Buying a plan, and managing what was bought, on pages of Stripe's. Neither changes anything here: what was bought is
//! learned from Stripe.

use std::time::Duration;

use super::Billing;
use super::customer;
use super::gateway::{GatewayError, NewCheckout};
use super::price::{self, Interval, Offer};
use super::subscription;
use super::sync::sync_customer;
use crate::access::grant::BillingManage;
use crate::access::{Caller, OrgAccess};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::config::Plan;
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};
use crate::members::seats;

/// Within this long the same wish leads to the same page: whoever clicks twice buys once.
const SAME_PAGE: Duration = Duration::from_mins(10);
/// Longer than the name of any plan, bytes.
const MAX_NAME: usize = 63;

/// What is to be bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    plan: Plan,
    interval: Interval,
}

impl Wanted {
    /// # Errors
    /// `invalid_field` naming `plan`.
    pub fn new(plan: &str, interval: Interval) -> Result<Self> {
        if plan.len() > MAX_NAME {
            return Err(Problem::field("plan", "too_long", "is not that long").into());
        }
        let is_sold = |plan: &Plan| matches!(plan, Plan::Team | Plan::Business);
        let not_sold = || {
            Problem::field(
                "plan",
                "unknown",
                "must be the name of a plan that is sold, such as team",
            )
        };
        let plan = Plan::parse(plan).filter(is_sold).ok_or_else(not_sold)?;
        Ok(Self { plan, interval })
    }
}

/// Makes a page on which the organisation buys a plan; its address.
///
/// # Errors
/// `billing_disabled`; `invalid_field` for a plan that is not sold; `already_subscribed`; `unavailable`.
pub async fn start(db: &Db, billing: &Billing, access: &OrgAccess<BillingManage>, wanted: &Wanted) -> Result<String> {
    let gateway = billing.gateway()?;
    let org = access.org.id;
    let offer = offered(db, billing, wanted).await?;
    let customer = customer::ensure(db, billing, org).await?;
    // Whoever has just bought, and whose event is still under way, is told so.
    sync_customer(db, gateway, org).await?;
    let before = subscription::of_org(db, org).await?;
    if before.as_ref().is_some_and(|before| before.status.blocks_another()) {
        return Err(already_subscribed());
    }
    let Offer {
        price_id,
        per_seat,
        trial_days,
    } = offer;
    let quantity = if per_seat { seats::count(db, org).await? } else { 1 };
    let last = before.as_ref().map_or("none", |before| before.stripe_id.as_str());
    let window = db.now().since(Timestamp(0)).as_secs() / SAME_PAGE.as_secs();
    let wish = format!("{price_id}:{quantity}:{last}:{window}");
    let key = |customer: &str| format!("checkout:{org}:{customer}:{wish}");
    let page = NewCheckout {
        customer,
        org_id: org.to_string(),
        deployment: billing.deployment().to_owned(),
        price_id,
        quantity,
        // One trial for each organisation.
        trial_days: trial_days.filter(|_| before.is_none()),
        success_url: billing.page("success"),
        cancel_url: billing.page("cancelled"),
    };
    let made = gateway.create_checkout(page.clone(), &key(&page.customer)).await;
    if made != Err(GatewayError::NoCustomer) {
        return Ok(made?);
    }
    let customer = customer::replace(db, billing, org, &page.customer).await?;
    let key = key(&customer);
    Ok(gateway.create_checkout(NewCheckout { customer, ..page }, &key).await?)
}

fn already_subscribed() -> Error {
    let detail = "The organisation has a subscription. Change it on the page that create_portal_session makes.";
    Problem::new(ProblemCode::AlreadySubscribed, detail).into()
}

/// The price of a plan; one that is not known yet may be new.
async fn offered(db: &Db, billing: &Billing, wanted: &Wanted) -> Result<Offer> {
    if let Some(offer) = price::offer(db, wanted.plan, wanted.interval).await? {
        return Ok(offer);
    }
    price::refresh(db, billing.gateway()?).await?;
    let offer = price::offer(db, wanted.plan, wanted.interval).await?;
    offer.ok_or_else(|| Problem::field("plan", "unknown", "must be the name of a plan that is sold").into())
}

/// Records that somebody went to buy a plan.
///
/// # Errors
/// [`Error::Db`].
pub async fn record(tx: &WriteTx, caller: &Caller, access: &OrgAccess<BillingManage>, wanted: &Wanted) -> Result<()> {
    let entry = entry(access.org.id, Action::BillingCheckoutStarted)
        .with("plan", wanted.plan.as_str())
        .with("interval", wanted.interval.as_str());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// Makes a page on which the organisation manages what it bought; its address. It is good for minutes, and for whoever
/// has it.
///
/// # Errors
/// `billing_disabled`; `conflict` when nothing was ever bought; `unavailable`.
pub async fn manage(db: &Db, billing: &Billing, access: &OrgAccess<BillingManage>) -> Result<String> {
    let gateway = billing.gateway()?;
    let Some(customer) = customer::of_org(db, access.org.id, gateway.is_live()).await? else {
        let detail = "The organisation has bought nothing yet. Begin with create_checkout_session.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    };
    let back = billing.page("returned");
    let made = gateway.create_portal(&customer, &back).await;
    if made != Err(GatewayError::NoCustomer) {
        return Ok(made?);
    }
    let org = access.org.id;
    let customer = customer::replace(db, billing, org, &customer).await?;
    // What was bought went with the one that is gone, and nobody may have told us.
    sync_customer(db, gateway, org).await?;
    Ok(gateway.create_portal(&customer, &back).await?)
}

/// Records that somebody went to manage what was bought.
///
/// # Errors
/// [`Error::Db`].
pub async fn record_managing(tx: &WriteTx, caller: &Caller, access: &OrgAccess<BillingManage>) -> Result<()> {
    let entry = entry(access.org.id, Action::BillingPortalOpened);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

fn entry(org: OrgId, action: Action) -> Entry {
    Entry::in_org(org, action, Target::Org(org))
}
