//! How an organisation sets its identity provider up.

use std::sync::Arc;

use domain::access::grant::OrgUpdate;
use domain::access::org as gate;
use domain::sso::settings;
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;

use super::dto::{SsoSettings, SsoSettingsPatch, SsoTest};
use super::half::Half;
use super::testing::{self, SsoTested};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::optional_body::OptionalJson;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct OrgSsoApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Organisations")]
impl OrgSsoApi {
    /// Show an organisation's identity provider
    ///
    /// Also before it is set up. The client secret is not shown.
    #[oai(path = "/v1/orgs/:org/sso", method = "get", operation_id = "get_org_sso")]
    async fn get_org_sso(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Json<SsoSettings>, ApiError> {
        let access = gate::<OrgUpdate>(&self.0.db, &caller, &org).await?;
        let provider = settings::of_org(&self.0.db, &access).await?;
        Ok(Json(SsoSettings::new(&provider, self.0.issuer())))
    }

    /// Set an organisation's identity provider up
    ///
    /// It counts from the next sign-in on. The provider's people are let into the organisation where its join policy
    /// would let them in by the address that the provider has verified. Its word counts in the organisation alone: it
    /// makes accounts whose address is still to be proved, and reaches no account that is there, unless that account's
    /// person joins the two. Needs a sign-in of the last ten minutes.
    #[oai(path = "/v1/orgs/:org/sso", method = "patch", operation_id = "update_org_sso")]
    async fn update_org_sso(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<SsoSettingsPatch>,
    ) -> Result<Json<SsoSettings>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<OrgUpdate>(&*tx, &caller, &org).await?;
        let (keys, egress) = (&self.0.keys, self.0.issuers.policy());
        let provider = settings::update_org(&tx, keys, egress, &caller, &access, body.0.into()).await?;
        tx.commit(Json(SsoSettings::new(&provider, self.0.issuer()))).await
    }

    /// Remove an organisation's identity provider
    ///
    /// With the identities that came of it. Who signed in with it signs in by mailed code or password from then on.
    /// Needs a sign-in of the last ten minutes.
    #[oai(path = "/v1/orgs/:org/sso", method = "delete", operation_id = "delete_org_sso")]
    async fn delete_org_sso(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = gate::<OrgUpdate>(&*tx, &caller, &org).await?;
        settings::delete_of_org(&tx, &caller, &access).await?;
        tx.commit(Done::Done).await
    }

    /// Test an organisation's identity provider
    ///
    /// Looks whether its endpoints can be reached, switched on or not. With `login` it also begins a sign-in that signs
    /// nobody in and tells what would have happened.
    #[oai(path = "/v1/orgs/:org/sso/test", method = "post", operation_id = "test_org_sso")]
    async fn test_org_sso(
        &self,
        caller: Caller,
        half: Half,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: OptionalJson<SsoTest>,
    ) -> Result<SsoTested, ApiError> {
        let access = gate::<OrgUpdate>(&self.0.db, &caller, &org).await?;
        let user = caller.session_user()?;
        let provider = settings::of_org(&self.0.db, &access).await?;
        let test = body.0.unwrap_or_default();
        testing::run(&self.0, &provider, &half, &test, &caller.origin, user).await
    }
}
