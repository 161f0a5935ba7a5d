//! Plans, and how an organisation stands on its own.

use std::sync::Arc;

use domain::access;
use domain::access::grant::BillingRead;
use domain::limits::{freeze, plan, plans, preview, usage};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::dto::{BillingState, DowngradePreview, Plan, Plans};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct BillingApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Billing")]
impl BillingApi {
    /// Show the plans
    ///
    /// What each allows on this instance, the smallest first.
    #[oai(path = "/v1/plans", method = "get", operation_id = "get_plans")]
    async fn get_plans(&self) -> Result<Json<Plans>, ApiError> {
        Ok(Json(plans::all(&self.0.db).await?.into()))
    }

    /// Show how an organisation stands
    ///
    /// Its plan, its subscription, and each limit with where it was set and what is used of it. Reading never stops for
    /// any of it.
    #[oai(path = "/v1/orgs/:org/billing", method = "get", operation_id = "get_billing")]
    async fn get_billing(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Json<BillingState>, ApiError> {
        let db = &self.0.db;
        let access = access::org::<BillingRead>(db, &caller, &org).await?;
        let standing = plan::standing(db, access.org.id).await?;
        let frozen = freeze::frozen(db, access.org.id).await?;
        let limits = usage::of_org(db, access.org.id).await?;
        Ok(Json(BillingState::of(standing, db.billing(), &frozen, limits)))
    }

    /// Try a plan
    ///
    /// What changing to it would mean: what there would be too much of, and in which projects nothing new could be
    /// written after thirty days. Nothing is ever deleted by changing the plan.
    #[oai(
        path = "/v1/orgs/:org/billing/downgrade-preview",
        method = "get",
        operation_id = "preview_downgrade"
    )]
    async fn preview_downgrade(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// The plan to change to.
        plan: Query<Plan>,
    ) -> Result<Json<DowngradePreview>, ApiError> {
        let access = access::org::<BillingRead>(&self.0.db, &caller, &org).await?;
        let preview = preview::of(&self.0.db, access.org.id, plan.0.into()).await?;
        Ok(Json(preview.into()))
    }
}
