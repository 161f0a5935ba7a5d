//! Pages of Stripe's on which plans are bought, and managed once they are.

use std::sync::Arc;
use std::time::Duration;

use domain::access::{self, grant};
use domain::billing::checkout::{self, Wanted};
use domain::kernel::{Error, Problem, ProblemCode};
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{BillingPage, NewCheckoutSession};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

/// How long somebody may wait for Stripe.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct BillingPagesApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum PageMade {
    /// The page is there.
    #[oai(status = 201)]
    Created(Json<BillingPage>),
}

impl PageMade {
    fn at(url: String) -> Self {
        Self::Created(Json(BillingPage { url }))
    }
}

/// Waits for Stripe, but not for ever.
async fn in_time<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| {
        let detail = "The payment provider took too long. Try again.";
        Problem::new(ProblemCode::Unavailable, detail).with("retry_after", 5)
    };
    tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
}

#[OpenApi(tag = "Tag::Billing")]
impl BillingPagesApi {
    /// Buy a plan
    ///
    /// Makes a checkout page of Stripe's for the organisation. The plan is in force seconds after the payment; `get_org`
    /// shows it, and webhooks are told `billing.plan_changed`. Asking again within ten minutes gives the same page. An
    /// organisation that has a subscription is refused with `already_subscribed`: it changes that one.
    #[oai(
        path = "/v1/orgs/:org/billing/checkout",
        method = "post",
        operation_id = "create_checkout_session"
    )]
    async fn create_checkout_session(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<NewCheckoutSession>,
    ) -> Result<PageMade, ApiError> {
        let NewCheckoutSession { plan, interval } = body.0;
        let access = access::org::<grant::BillingManage>(&self.0.db, &caller, &org).await?;
        let wanted = Wanted::new(&plan, interval.into())?;
        let url = in_time(checkout::start(&self.0.db, &self.0.billing, &access, &wanted)).await?;
        let tx = self.0.begin_write().await?;
        checkout::record(&tx, &caller, &access, &wanted).await?;
        tx.commit(PageMade::at(url)).await
    }

    /// Manage what was bought
    ///
    /// Makes a page of Stripe's on which the organisation changes or cancels its subscription, sets how it pays, and finds
    /// its invoices. The page is good for minutes.
    #[oai(
        path = "/v1/orgs/:org/billing/portal",
        method = "post",
        operation_id = "create_portal_session"
    )]
    async fn create_portal_session(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<PageMade, ApiError> {
        let access = access::org::<grant::BillingManage>(&self.0.db, &caller, &org).await?;
        let url = in_time(checkout::manage(&self.0.db, &self.0.billing, &access)).await?;
        let tx = self.0.begin_write().await?;
        checkout::record_managing(&tx, &caller, &access).await?;
        tx.commit(PageMade::at(url)).await
    }
}
