//! Service accounts: identities of machines.

use std::sync::Arc;

use domain::access::grant::ServiceAccountsManage;
use domain::access::org as gate;
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::service_accounts::{account, change, create};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{CreatedServiceAccount, NewServiceAccount, ServiceAccount, ServiceAccountPatch};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct ServiceAccountsApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum ServiceAccountCreated {
    /// The service account was made.
    #[oai(status = 201)]
    Created(Json<CreatedServiceAccount>),
}

#[OpenApi(tag = "Tag::ServiceAccounts")]
impl ServiceAccountsApi {
    /// List service accounts
    ///
    /// By name. Those of a deleted project are gone with it, and back when it is restored.
    #[oai(
        path = "/v1/orgs/:org/service-accounts",
        method = "get",
        operation_id = "list_service_accounts"
    )]
    async fn list_service_accounts(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of a project: only the accounts that are bound to it.
        project: Query<Option<String>>,
        /// Part of a name or description, whatever its case.
        search: Query<Option<String>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<ServiceAccount>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let access = gate::<ServiceAccountsManage>(&self.0.db, &caller, &org).await?;
        let filter = account::Filter {
            project: project.0,
            search: search.0,
        };
        let accounts = account::list(&self.0.db, &access, &filter, page).await?;
        Ok(Json(List::of(accounts, ServiceAccount::from)))
    }

    /// Make a service account
    ///
    /// For machines: it signs in with keys, and may do what it is given by roles and access rules, like a person. Bound
    /// to a project it acts in that project alone, whatever it is given elsewhere. Its first key is shown this once.
    #[oai(
        path = "/v1/orgs/:org/service-accounts",
        method = "post",
        operation_id = "create_service_account"
    )]
    async fn create_service_account(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<NewServiceAccount>,
    ) -> Result<ServiceAccountCreated, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<ServiceAccountsManage>(&*tx, &caller, &org).await?;
        let made = create::create(&tx, self.0.keys.token_mac(), &caller, &access, body.0.into()).await?;
        tx.commit(ServiceAccountCreated::Created(Json(made.into()))).await
    }

    /// Show a service account
    ///
    /// Without its keys; they have a list of their own.
    #[oai(
        path = "/v1/orgs/:org/service-accounts/:service_account",
        method = "get",
        operation_id = "get_service_account"
    )]
    async fn get_service_account(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the service account: `sa_…`.
        service_account: Path<String>,
    ) -> Result<Json<ServiceAccount>, ApiError> {
        let access = gate::<ServiceAccountsManage>(&self.0.db, &caller, &org).await?;
        Ok(Json(account::get(&self.0.db, &access, &service_account).await?.into()))
    }

    /// Change a service account
    ///
    /// What is absent stays as it is. An account that holds more than you do is not yours to change.
    #[oai(
        path = "/v1/orgs/:org/service-accounts/:service_account",
        method = "patch",
        operation_id = "update_service_account"
    )]
    async fn update_service_account(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the service account: `sa_…`.
        service_account: Path<String>,
        body: Json<ServiceAccountPatch>,
    ) -> Result<Json<ServiceAccount>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<ServiceAccountsManage>(&*tx, &caller, &org).await?;
        let updated = change::update(&tx, &caller, &access, &service_account, body.0.into()).await?;
        tx.commit(Json(updated.into())).await
    }

    /// Delete a service account
    ///
    /// With its keys, its roles and the access rules about it. Its keys are refused from the next request on.
    #[oai(
        path = "/v1/orgs/:org/service-accounts/:service_account",
        method = "delete",
        operation_id = "delete_service_account"
    )]
    async fn delete_service_account(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the service account: `sa_…`.
        service_account: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<ServiceAccountsManage>(&*tx, &caller, &org).await?;
        change::delete(&tx, &caller, &access, &service_account).await?;
        tx.commit(Done::Done).await
    }
}
