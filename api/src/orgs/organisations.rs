//! Organisations: the tenants.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::orgs::{organisation, settings};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{NewOrg, Org, OrgPatch};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct OrgsApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum OrgCreated {
    /// The organisation was made.
    #[oai(status = 201)]
    Created(Json<Org>),
}

#[OpenApi(tag = "Tag::Organisations")]
impl OrgsApi {
    /// Make an organisation
    ///
    /// The caller becomes its owner.
    #[oai(path = "/v1/orgs", method = "post", operation_id = "create_org")]
    async fn create_org(&self, caller: Caller, body: Json<NewOrg>) -> Result<OrgCreated, ApiError> {
        let tx = self.0.begin_write().await?;
        let made = organisation::create(&tx, &self.0.keys, &caller, &body.name, body.slug.as_deref()).await?;
        tx.commit(OrgCreated::Created(Json(made.into()))).await
    }

    /// List organisations
    ///
    /// Those that the caller belongs to, by name. A superuser who is signed in sees all; where they have no role, nothing
    /// in them opens.
    #[oai(path = "/v1/orgs", method = "get", operation_id = "list_orgs")]
    async fn list_orgs(
        &self,
        caller: Caller,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Org>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let orgs = organisation::list(&self.0.db, &caller, page).await?;
        Ok(Json(List::of(orgs, Org::from)))
    }

    /// Show an organisation
    ///
    /// With the caller's role in it.
    #[oai(path = "/v1/orgs/:org", method = "get", operation_id = "get_org")]
    async fn get_org(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Json<Org>, ApiError> {
        let access = access::org::<grant::OrgRead>(&self.0.db, &caller, &org).await?;
        Ok(Json(organisation::get(&self.0.db, &access).await?.into()))
    }

    /// Change an organisation
    ///
    /// What is absent stays as it is. Joining can give no more than the caller holds.
    #[oai(path = "/v1/orgs/:org", method = "patch", operation_id = "update_org")]
    async fn update_org(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<OrgPatch>,
    ) -> Result<Json<Org>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::OrgUpdate>(&*tx, &caller, &org).await?;
        let org = settings::update(&tx, &caller, &access, body.0.into()).await?;
        tx.commit(Json(org.into())).await
    }

    /// Delete an organisation
    ///
    /// Needs a sign-in of the last ten minutes. From then on it answers as if it were absent; it can be restored
    /// for 30 days.
    #[oai(path = "/v1/orgs/:org", method = "delete", operation_id = "delete_org")]
    async fn delete_org(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::OrgDelete>(&*tx, &caller, &org).await?;
        organisation::delete(&tx, &caller, &access).await?;
        tx.commit(Done::Done).await
    }

    /// Restore a deleted organisation
    ///
    /// Within 30 days of its deletion, with everything in it.
    #[oai(path = "/v1/orgs/:org/restore", method = "post", operation_id = "restore_org")]
    async fn restore_org(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Json<Org>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = grant::deleted_org::<grant::OrgDelete>(&*tx, &caller, &org).await?;
        let org = organisation::restore(&tx, &caller, &access).await?;
        tx.commit(Json(org.into())).await
    }
}
