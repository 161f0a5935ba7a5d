//! The instance's identity provider.

use std::sync::Arc;

use domain::access::Superuser;
use domain::sso::settings;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::optional_body::OptionalJson;
use crate::http::problem::ApiError;
use crate::sso::dto::{SsoSettings, SsoSettingsPatch, SsoTest};
use crate::sso::half::Half;
use crate::sso::testing::{self, SsoTested};
use crate::tags::Tag;

pub struct AdminOidcApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Administration")]
impl AdminOidcApi {
    /// Show the instance's identity provider
    ///
    /// Also before it is set up. The client secret is not shown. For superusers, from a session.
    #[oai(path = "/v1/admin/oidc", method = "get", operation_id = "get_admin_oidc")]
    async fn get_admin_oidc(&self, caller: Caller) -> Result<Json<SsoSettings>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let provider = settings::of_instance(&self.0.db, &superuser).await?;
        Ok(Json(SsoSettings::new(&provider, self.0.issuer())))
    }

    /// Set the instance's identity provider up
    ///
    /// It counts from the next sign-in on. Its word on addresses counts too: whoever sets it up decides who can sign in
    /// as whom. Needs a sign-in of the last ten minutes. For superusers, from a session.
    #[oai(path = "/v1/admin/oidc", method = "patch", operation_id = "update_admin_oidc")]
    async fn update_admin_oidc(
        &self,
        caller: Caller,
        body: Json<SsoSettingsPatch>,
    ) -> Result<Json<SsoSettings>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let (keys, egress) = (&self.0.keys, self.0.issuers.policy());
        let provider = settings::update_instance(&tx, keys, egress, &superuser, body.0.into()).await?;
        tx.commit(Json(SsoSettings::new(&provider, self.0.issuer()))).await
    }

    /// Test the instance's identity provider
    ///
    /// Looks whether its endpoints can be reached, switched on or not. With `login` it also begins a sign-in that signs
    /// nobody in and tells what would have happened. For superusers, from a session.
    #[oai(path = "/v1/admin/oidc/test", method = "post", operation_id = "test_admin_oidc")]
    async fn test_admin_oidc(
        &self,
        caller: Caller,
        half: Half,
        body: OptionalJson<SsoTest>,
    ) -> Result<SsoTested, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let provider = settings::of_instance(&self.0.db, &superuser).await?;
        let test = body.0.unwrap_or_default();
        testing::run(&self.0, &provider, &half, &test, superuser.origin(), superuser.user()).await
    }
}
