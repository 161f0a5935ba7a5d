//! Keys of service accounts.

use std::sync::Arc;

use domain::access::grant::ServiceAccountsManage;
use domain::access::org as gate;
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::service_accounts::keys;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{CreatedServiceKey, NewServiceKey, ServiceKey};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct ServiceKeysApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum ServiceKeyCreated {
    /// The key was made.
    #[oai(status = 201)]
    Created(Json<CreatedServiceKey>),
}

#[OpenApi(tag = "Tag::ServiceAccounts")]
impl ServiceKeysApi {
    /// List the keys of a service account
    ///
    /// Those that were not revoked, newest first.
    #[oai(
        path = "/v1/orgs/:org/service-accounts/:service_account/keys",
        method = "get",
        operation_id = "list_service_keys"
    )]
    async fn list_service_keys(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the service account: `sa_…`.
        service_account: Path<String>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<ServiceKey>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let access = gate::<ServiceAccountsManage>(&self.0.db, &caller, &org).await?;
        let keys = keys::list(&self.0.db, &access, &service_account, page).await?;
        Ok(Json(List::of(keys, ServiceKey::from)))
    }

    /// Make a key of a service account
    ///
    /// Beside those that there are, ten at most: bring the new one into use, then revoke the old one. The key is shown
    /// this once.
    #[oai(
        path = "/v1/orgs/:org/service-accounts/:service_account/keys",
        method = "post",
        operation_id = "create_service_key"
    )]
    async fn create_service_key(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the service account: `sa_…`.
        service_account: Path<String>,
        body: Json<NewServiceKey>,
    ) -> Result<ServiceKeyCreated, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<ServiceAccountsManage>(&*tx, &caller, &org).await?;
        let macs = self.0.keys.token_mac();
        let made = keys::create(&tx, macs, &caller, &access, &service_account, body.0.into()).await?;
        tx.commit(ServiceKeyCreated::Created(Json(made.into()))).await
    }

    /// Revoke a key of a service account
    ///
    /// It is refused from the next request on, with every token that it was traded for. Other keys go on.
    #[oai(
        path = "/v1/orgs/:org/service-accounts/:service_account/keys/:service_key",
        method = "delete",
        operation_id = "revoke_service_key"
    )]
    async fn revoke_service_key(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the service account: `sa_…`.
        service_account: Path<String>,
        /// Id of the key: `tok_…`.
        service_key: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<ServiceAccountsManage>(&*tx, &caller, &org).await?;
        keys::revoke(&tx, &caller, &access, &service_account, &service_key).await?;
        tx.commit(Done::Done).await
    }
}
