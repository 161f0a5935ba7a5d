//! The customers at Stripe that organisations are. One is made before anything is bought, and is kept when the
//! organisation is gone: late events still find whom they were about, and Stripe keeps its invoices.

use std::time::Duration;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};

use super::Billing;
use super::entity::customer;
use super::gateway::NewCustomer;
use super::inbox;
use crate::jobs::{self, Cause, Job, JobKind, NewJob};
use crate::kernel::id::OrgId;
use crate::kernel::{Db, Error, Problem, Reads, Result, Timestamp, WriteTx};
use crate::orgs::plan;

/// A job that comes within this long will do.
const SOON: Duration = Duration::from_hours(1);

/// A customer, with the number under which Stripe is asked about it.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub(super) struct Asked {
    pub(super) stripe_customer_id: String,
    pub(super) sync_seq: i64,
}

/// The organisation that a customer is, gone or not; `None` for a customer of somebody else's.
pub(super) async fn org_of(from: &impl Reads, stripe_id: &str) -> Result<Option<OrgId>> {
    let row = customer::Entity::find()
        .filter(customer::Column::StripeCustomerId.eq(stripe_id))
        .one(from.conn())
        .await?;
    Ok(row.map(|row| row.org_id))
}

/// The customer that an organisation is in this mode.
pub(super) async fn of_org(from: &impl Reads, org: OrgId, is_live: bool) -> Result<Option<String>> {
    let row = customer::Entity::find_by_id(org).one(from.conn()).await?;
    Ok(row
        .filter(|row| row.livemode == is_live)
        .map(|row| row.stripe_customer_id))
}

/// Takes the next number: what is asked of Stripe under an older one is not written any more.
pub(super) async fn next_seq(tx: &WriteTx, org: OrgId) -> Result<Option<Asked>> {
    let sql = "UPDATE billing_customers SET sync_seq = sync_seq + 1 WHERE org_id = $1
               RETURNING stripe_customer_id, sync_seq";
    Ok(Asked::find_by_statement(tx.sql(sql, [org.into()]))
        .one(tx.conn())
        .await?)
}

/// The customer that an organisation is; it is made if there is none.
///
/// # Errors
/// `billing_disabled`, `unavailable`; `not_found` when the organisation is gone.
pub(super) async fn ensure(db: &Db, billing: &Billing, org: OrgId) -> Result<String> {
    let gateway = billing.gateway()?;
    let is_live = gateway.is_live();
    if let Some(found) = of_org(db, org, is_live).await? {
        return Ok(found);
    }
    let made = make(db, billing, org, None).await?;
    let tx = db.begin_write().await?;
    // A customer of the other mode is of no use any more: the key was exchanged.
    let sql = "INSERT INTO billing_customers (org_id, stripe_customer_id, livemode, sync_seq, synced_at, created_at)
        VALUES ($1, $2, $3, 0, NULL, $4)
        ON CONFLICT (org_id) DO UPDATE SET stripe_customer_id = $2, livemode = $3, synced_at = NULL
        WHERE billing_customers.livemode <> $3";
    let values = [org.into(), made.into(), is_live.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    let kept = of_org(db, org, is_live).await?;
    kept.ok_or_else(|| Error::internal("a customer vanished while it was made"))
}

/// Another customer in the place of one that is not there any more: somebody deleted it at Stripe, or the key is that of
/// another account. What was bought is over with it.
///
/// # Errors
/// `billing_disabled`, `unavailable`; `not_found` when the organisation is gone.
pub(super) async fn replace(db: &Db, billing: &Billing, org: OrgId, gone: &str) -> Result<String> {
    let made = make(db, billing, org, Some(gone)).await?;
    let tx = db.begin_write().await?;
    // What is being asked about the one that is gone is not written any more.
    let sql = "UPDATE billing_customers SET stripe_customer_id = $3, sync_seq = sync_seq + 1, synced_at = NULL
        WHERE org_id = $1 AND stripe_customer_id = $2";
    let values = [org.into(), gone.into(), made.into()];
    let replaced = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    inbox::end_of_customer(&tx, gone).await?;
    tx.commit_bookkeeping().await?;
    if replaced.rows_affected() == 1 {
        tracing::warn!(%org, gone, "a customer was deleted at Stripe; there is another now");
    }
    let kept = of_org(db, org, billing.gateway()?.is_live()).await?;
    kept.ok_or_else(|| Error::internal("a customer vanished while it was replaced"))
}

/// Makes a customer at Stripe. Whoever asks at the same time, or again after we failed to keep the answer, gets the same
/// one; whoever knows that one to be gone gets another.
async fn make(db: &Db, billing: &Billing, org: OrgId, gone: Option<&str>) -> Result<String> {
    let billed = plan::billed(db, org).await?.ok_or_else(Problem::not_found)?;
    let deployment = billing.deployment().to_owned();
    let mut key = format!("cust:{deployment}:{org}:{}", billed.updated_at.micros());
    if let Some(gone) = gone {
        key.push(':');
        key.push_str(gone);
    }
    let new = NewCustomer {
        name: billed.name,
        org_id: org.to_string(),
        deployment,
    };
    Ok(billing.gateway()?.create_customer(new, &key).await?)
}

/// Queues a look at what Stripe has of an organisation; nothing for one that never was a customer.
///
/// # Errors
/// [`Error::Db`].
pub async fn ask_for_sync(tx: &WriteTx, org: OrgId) -> Result<()> {
    let Some(row) = customer::Entity::find_by_id(org).one(tx.conn()).await? else {
        return Ok(());
    };
    let job = NewJob {
        job: Job::SyncBillingV1 { org_id: org },
        lane: row.stripe_customer_id,
        org_id: Some(org),
        webhook_id: None,
        event_id: None,
        cause: Cause::Event,
        idempotency_key: format!("sync:{}:{}", org.0.simple(), tx.now().micros()),
    };
    jobs::emit(tx, vec![job]).await?;
    Ok(())
}

/// Queues a look at what Stripe has of an organisation, unless one comes soon. A job that failed often waits for long, and
/// may do so when Stripe has long been back.
///
/// # Errors
/// [`Error::Db`].
pub async fn ask_again(tx: &WriteTx, org: OrgId) -> Result<()> {
    let Some(lane) = lane(tx, org).await? else {
        return Ok(());
    };
    if jobs::has_soon(tx, JobKind::Billing, &lane, SOON).await? {
        return Ok(());
    }
    ask_for_sync(tx, org).await
}

/// The lane of what is done for an organisation; `None` for one that never was a customer.
async fn lane(from: &impl Reads, org: OrgId) -> Result<Option<String>> {
    let row = customer::Entity::find_by_id(org).one(from.conn()).await?;
    Ok(row.map(|row| row.stripe_customer_id))
}

/// When Stripe was last asked about an organisation.
pub(super) async fn synced_at(from: &impl Reads, org: OrgId) -> Result<Option<Timestamp>> {
    let row = customer::Entity::find_by_id(org).one(from.conn()).await?;
    Ok(row.and_then(|row| row.synced_at))
}
