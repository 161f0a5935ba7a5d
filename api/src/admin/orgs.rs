//! Organisations of the instance: plans, limits, usage.

use std::sync::Arc;

use domain::admin::{Superuser, orgs};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::dto::{AdminOrg, AdminOrgDetails, AdminOrgPatch};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::limits::dto::Plan;
use crate::tags::Tag;

pub struct AdminOrgsApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Administration")]
impl AdminOrgsApi {
    /// List all organisations
    ///
    /// By name, deleted ones too, with how much each uses. For superusers.
    #[oai(path = "/v1/admin/orgs", method = "get", operation_id = "list_admin_orgs")]
    async fn list_admin_orgs(
        &self,
        caller: Caller,
        /// Part of a slug or name, whatever its case.
        search: Query<Option<String>>,
        /// Only those on this plan.
        plan: Query<Option<Plan>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<AdminOrg>>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let filter = orgs::Filter {
            search: search.0,
            plan: plan.0.map(Into::into),
        };
        let listed = orgs::list(&self.0.db, &superuser, &filter, page).await?;
        Ok(Json(List::of(listed, AdminOrg::from)))
    }

    /// Show an organisation's limits
    ///
    /// Its plan, each limit with where it was set and what is used of it, and what was set for it alone. For
    /// superusers.
    #[oai(path = "/v1/admin/orgs/:org", method = "get", operation_id = "get_admin_org")]
    async fn get_admin_org(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Json<AdminOrgDetails>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        Ok(Json(orgs::get(&self.0.db, &superuser, &org).await?.into()))
    }

    /// Set an organisation's plan or limits
    ///
    /// They count from the next change on. Nothing is deleted when there is more than they allow. The organisation's
    /// owners see it in their audit log. For superusers.
    #[oai(path = "/v1/admin/orgs/:org", method = "patch", operation_id = "update_admin_org")]
    async fn update_admin_org(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<AdminOrgPatch>,
    ) -> Result<Json<AdminOrgDetails>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let patch = body.0.checked()?;
        let tx = self.0.begin_write().await?;
        let updated = orgs::update(&tx, &caller, &superuser, &org, patch).await?;
        tx.commit(Json(updated.into())).await
    }
}
