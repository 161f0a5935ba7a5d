//! The OAuth clients of the signed-in person.

use std::sync::Arc;

use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::oauth::{client, client_change as change};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::client_dto::{ClientPatch, CreatedOAuthClient, NewClient, OAuthClient, RotateSecret};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::optional_body::OptionalJson;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct ClientsApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum ClientCreated {
    /// The client was made.
    #[oai(status = 201)]
    Created(Json<CreatedOAuthClient>),
}

#[OpenApi(tag = "Tag::OAuth")]
impl ClientsApi {
    /// List your OAuth clients
    ///
    /// Newest first, those that are switched off included.
    #[oai(path = "/v1/oauth/clients", method = "get", operation_id = "list_oauth_clients")]
    async fn list_oauth_clients(
        &self,
        caller: Caller,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<OAuthClient>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let clients = client::list(&self.0.db, &caller, page).await?;
        Ok(Json(List::of(clients, OAuthClient::from)))
    }

    /// Make an OAuth client
    ///
    /// An application that signs people in or acts for them. Every client uses PKCE. The secret of a confidential one is
    /// shown this once. Endpoints are listed at `/.well-known/openid-configuration`.
    #[oai(path = "/v1/oauth/clients", method = "post", operation_id = "create_oauth_client")]
    async fn create_oauth_client(&self, caller: Caller, body: Json<NewClient>) -> Result<ClientCreated, ApiError> {
        let tx = self.0.begin_write().await?;
        let made = change::create(&tx, self.0.keys.token_mac(), &caller, body.0.into()).await?;
        tx.commit(ClientCreated::Created(Json(made.into()))).await
    }

    /// Show an OAuth client
    ///
    /// One of your own, without its secret.
    #[oai(
        path = "/v1/oauth/clients/:client",
        method = "get",
        operation_id = "get_oauth_client"
    )]
    async fn get_oauth_client(
        &self,
        caller: Caller,
        /// Id of the client: `cli_…`.
        client: Path<String>,
    ) -> Result<Json<OAuthClient>, ApiError> {
        Ok(Json(client::get(&self.0.db, &caller, &client).await?.into()))
    }

    /// Change an OAuth client
    ///
    /// What is absent stays as it is. Switched off, it is refused, and everything that it was given ends for good.
    #[oai(
        path = "/v1/oauth/clients/:client",
        method = "patch",
        operation_id = "update_oauth_client"
    )]
    async fn update_oauth_client(
        &self,
        caller: Caller,
        /// Id of the client: `cli_…`.
        client: Path<String>,
        body: Json<ClientPatch>,
    ) -> Result<Json<OAuthClient>, ApiError> {
        let tx = self.0.begin_write().await?;
        let updated = change::update(&tx, &caller, &client, body.0.into()).await?;
        tx.commit(Json(updated.into())).await
    }

    /// Delete an OAuth client
    ///
    /// Everything that it was given is refused from the next request on.
    #[oai(
        path = "/v1/oauth/clients/:client",
        method = "delete",
        operation_id = "delete_oauth_client"
    )]
    async fn delete_oauth_client(
        &self,
        caller: Caller,
        /// Id of the client: `cli_…`.
        client: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        change::delete(&tx, &caller, &client).await?;
        tx.commit(Done::Done).await
    }

    /// Give an OAuth client a new secret
    ///
    /// Shown this once. The old one can go on for up to seven days, so that nothing is interrupted.
    #[oai(
        path = "/v1/oauth/clients/:client/rotate-secret",
        method = "post",
        operation_id = "rotate_oauth_client_secret"
    )]
    async fn rotate_oauth_client_secret(
        &self,
        caller: Caller,
        /// Id of the client: `cli_…`.
        client: Path<String>,
        body: OptionalJson<RotateSecret>,
    ) -> Result<Json<CreatedOAuthClient>, ApiError> {
        let hours = body.0.and_then(|body| body.overlap_hours).unwrap_or(0);
        let tx = self.0.begin_write().await?;
        let macs = self.0.keys.token_mac();
        let rotated = change::rotate_secret(&tx, macs, &caller, &client, hours).await?;
        tx.commit(Json(rotated.into())).await
    }
}
