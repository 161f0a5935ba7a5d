//! Asks Stripe what a customer has, because an event says that something changed, or because somebody wants to know.

use std::sync::Arc;
use std::time::Duration;

use domain::billing::gateway::{BillingGateway, GatewayError};
use domain::billing::inbox::{self, About, EventState};
use domain::billing::sync::{SyncError, Synced, sync_customer};
use domain::billing::{Billing, price};
use domain::jobs::{Bell, Claimed, Verdict};
use domain::kernel::id::OrgId;
use domain::kernel::{Db, Result};

use crate::run::{Ending, retry};

/// How long one run may take, well within its lease.
const WALL: Duration = Duration::from_secs(25);
/// When a job that needs Stripe is looked at again on an instance that has no key for it.
const WITHOUT_KEY: Duration = Duration::from_hours(1);
/// When to ask again after somebody else asked later.
const AFTER_ANOTHER: Duration = Duration::from_secs(1);

/// Applies what Stripe says.
pub(crate) struct ApplyBilling {
    pub(crate) db: Db,
    pub(crate) bell: Arc<dyn Bell>,
    pub(crate) billing: Billing,
}

impl ApplyBilling {
    /// Does what a stored event asks for. Another event of the same customer may have brought it about already.
    pub(crate) async fn event(&self, job: &Claimed, event_id: &str) -> Ending {
        let Ok(gateway) = self.billing.gateway() else {
            return self.without_key();
        };
        let about = match inbox::pending(&self.db, event_id).await {
            Ok(Some(about)) => about,
            Ok(None) => return Ending::new(Verdict::Done, "coalesced", None),
            Err(error) => {
                tracing::warn!(%error, event_id, "cannot load an event of Stripe's");
                return Ending::failed(&self.db, job, &error);
            }
        };
        let work = async {
            let synced = self.learn(gateway, about).await?;
            if synced != Synced::Superseded {
                self.end(event_id, EventState::Done).await?;
            }
            Ok::<_, SyncError>(synced)
        };
        let ending = self.within(job, work).await;
        // A dead letter: nobody waits for it any more, and whoever runs its job again finds it here.
        if ending.verdict == Verdict::Dead
            && let Err(error) = self.end(event_id, EventState::Dead).await
        {
            tracing::error!(%error, event_id, "cannot note that an event of Stripe's was given up");
        }
        ending
    }

    /// Asks what an organisation has.
    pub(crate) async fn org(&self, job: &Claimed, org: OrgId) -> Ending {
        let Ok(gateway) = self.billing.gateway() else {
            return self.without_key();
        };
        self.within(job, sync_customer(&self.db, gateway, org)).await
    }

    fn without_key(&self) -> Ending {
        let verdict = Verdict::Continue(self.db.queue_now() + WITHOUT_KEY);
        let why = "STRONGROOM_STRIPE_SECRET_KEY is not set".to_owned();
        Ending::new(verdict, "billing_disabled", Some(why))
    }

    async fn learn(&self, gateway: &dyn BillingGateway, about: About) -> Result<Synced, SyncError> {
        match about {
            About::Org(org) => sync_customer(&self.db, gateway, org).await,
            About::Prices => {
                price::refresh(&self.db, gateway).await?;
                Ok(Synced::Done(Vec::new()))
            }
        }
    }

    async fn end(&self, event_id: &str, state: EventState) -> Result<()> {
        let tx = self.db.begin_write().await?;
        inbox::end(&tx, event_id, state).await?;
        tx.commit_bookkeeping().await?;
        Ok(())
    }

    async fn within(&self, job: &Claimed, work: impl Future<Output = Result<Synced, SyncError>>) -> Ending {
        let Ok(done) = tokio::time::timeout(WALL, work).await else {
            let why = "Stripe took too long".to_owned();
            return Ending::new(retry(&self.db, job, None), "timeout", Some(why));
        };
        match done {
            Ok(Synced::Done(lanes)) => {
                if !lanes.is_empty() {
                    self.bell.ring(&lanes).await;
                }
                Ending::new(Verdict::Done, "ok", None)
            }
            Ok(Synced::NoCustomer) => Ending::cancelled("the organisation is no customer of Stripe's"),
            Ok(Synced::Superseded) => Ending::new(
                Verdict::Continue(self.db.queue_now() + AFTER_ANOTHER),
                "superseded",
                None,
            ),
            Err(SyncError::Gateway(error)) => {
                tracing::warn!(%error, job = %job.id, "Stripe cannot be asked");
                let outcome = match error {
                    GatewayError::Passing(_) => "unreachable",
                    GatewayError::Missing | GatewayError::NoCustomer | GatewayError::Refused(_) => "refused",
                };
                Ending::new(retry(&self.db, job, None), outcome, Some(error.to_string()))
            }
            Err(SyncError::Domain(error)) => {
                tracing::warn!(%error, job = %job.id, "cannot write down what Stripe says");
                Ending::failed(&self.db, job, &error)
            }
        }
    }
}
