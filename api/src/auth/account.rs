//! The caller's own account.

use std::sync::Arc;

use domain::auth::profile::{self, ProfilePatch};
use domain::auth::{account, deletion};
use domain::sso::provider;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::dto::Me;
use super::session::{SignedOut, no_cookie};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct AccountApi(pub Arc<App>);

/// Changes to an account; absent fields stay.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct MePatch {
    /// Up to 100 characters.
    pub first_name: Option<String>,
    /// Up to 100 characters.
    pub last_name: Option<String>,
    /// A name to sign in with besides the address: 3 to 32 of a-z, 0-9, dot, underscore and hyphen. Empty takes it away.
    pub username: Option<String>,
}

#[OpenApi(tag = "Tag::Auth")]
impl AccountApi {
    /// Show the signed-in account
    ///
    /// With the organisations that it belongs to; a token that is bound to one organisation is shown that one.
    #[oai(path = "/v1/auth/me", method = "get", operation_id = "get_me")]
    async fn get_me(&self, caller: Caller) -> Result<Json<Me>, ApiError> {
        let user = caller.user()?;
        let account = account::get(&self.0.db, user).await?;
        let mut orgs = account::orgs(&self.0.db, user).await?;
        orgs.retain(|org| caller.reaches(org.id));
        let sso_enabled = provider::is_offered(&self.0.db).await?;
        Ok(Json(Me::new(&account, orgs, sso_enabled)))
    }

    /// Change the signed-in account
    ///
    /// Names and username. A username that somebody has is refused with 409.
    #[oai(path = "/v1/auth/me", method = "patch", operation_id = "update_me")]
    async fn update_me(&self, caller: Caller, body: Json<MePatch>) -> Result<Json<Me>, ApiError> {
        let MePatch {
            first_name,
            last_name,
            username,
        } = body.0;
        let patch = ProfilePatch {
            first_name,
            last_name,
            username,
        };
        let tx = self.0.begin_write().await?;
        let account = profile::update(&tx, &caller, patch).await?;
        let orgs = account::orgs(&*tx, account.id).await?;
        let sso_enabled = provider::is_offered(&*tx).await?;
        tx.commit(Json(Me::new(&account, orgs, sso_enabled))).await
    }

    /// Delete the signed-in account
    ///
    /// With its addresses, tokens, sessions and roles, and the organisations that nobody else is in. Refused with
    /// `last_owner` while other people would be left in an organisation without an owner; `organisations` names them.
    /// Needs a sign-in within the last ten minutes. Audit logs keep what they have.
    #[oai(path = "/v1/auth/me", method = "delete", operation_id = "delete_me")]
    async fn delete_me(&self, caller: Caller) -> Result<SignedOut, ApiError> {
        let tx = self.0.begin_write().await?;
        deletion::delete(&tx, &caller).await?;
        tx.commit(SignedOut::Done(Some(no_cookie(&self.0)))).await
    }
}
