//! What plans allow on this instance.

use std::sync::Arc;

use domain::admin::Superuser;
use domain::limits::plans;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;

use super::dto::NewPlanLimits;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::limits::dto::{PlanTable, Plans};
use crate::tags::Tag;

pub struct AdminPlansApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Administration")]
impl AdminPlansApi {
    /// Show what plans allow
    ///
    /// Each limit with where it was set, the smallest plan first. For superusers.
    #[oai(path = "/v1/admin/plans", method = "get", operation_id = "get_admin_plans")]
    async fn get_admin_plans(&self, caller: Caller) -> Result<Json<Plans>, ApiError> {
        Superuser::require(&caller)?;
        Ok(Json(plans::all(&self.0.db).await?.into()))
    }

    /// Set what a plan allows
    ///
    /// All of its limits: what is absent has its built-in limit again. It counts from the next change on, for
    /// organisations that are on the plan already too. For superusers.
    #[oai(path = "/v1/admin/plans/:plan", method = "put", operation_id = "put_admin_plan")]
    async fn put_admin_plan(
        &self,
        caller: Caller,
        /// `free`, `team`, `business` or `self_hosted`.
        plan: Path<String>,
        body: Json<NewPlanLimits>,
    ) -> Result<Json<PlanTable>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let plan = plans::named(&plan)?;
        let limits = body.0.limits.checked()?;
        let tx = self.0.begin_write().await?;
        let stored = plans::put(&tx, &caller, &superuser, plan, &limits).await?;
        tx.commit(Json(stored.into())).await
    }
}
