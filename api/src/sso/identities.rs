//! The identities of the caller's account.

use std::sync::Arc;

use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::sso::identity;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::dto::SsoIdentity;
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct SsoIdentitiesApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Auth")]
impl SsoIdentitiesApi {
    /// List the identities of the signed-in account
    ///
    /// Those of identity providers that sign in to it, oldest first.
    #[oai(
        path = "/v1/auth/sso/identities",
        method = "get",
        operation_id = "list_sso_identities"
    )]
    async fn list_sso_identities(
        &self,
        caller: Caller,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<SsoIdentity>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let own = identity::list(&self.0.db, &caller, page).await?;
        Ok(Json(List::of(own, SsoIdentity::from)))
    }

    /// Take an identity away from the signed-in account
    ///
    /// It signs in no more; sessions that are open go on. Needs a sign-in of the last ten minutes.
    #[oai(
        path = "/v1/auth/sso/identities/:identity",
        method = "delete",
        operation_id = "unlink_sso"
    )]
    async fn unlink_sso(
        &self,
        caller: Caller,
        /// Id of the identity: `idn_…`.
        identity: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        identity::unlink(&tx, &caller, &identity).await?;
        tx.commit(Done::Done).await
    }
}
