//! The caller's own account.

use std::sync::Arc;

use domain::auth::account;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::dto::Me;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct AccountApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Auth")]
impl AccountApi {
    /// Show the signed-in account
    ///
    /// With the organisations that it belongs to.
    #[oai(path = "/v1/auth/me", method = "get", operation_id = "get_me")]
    async fn get_me(&self, caller: Caller) -> Result<Json<Me>, ApiError> {
        let user = caller.user()?;
        let account = account::get(&self.0.db, user).await?;
        let orgs = account::orgs(&self.0.db, user).await?;
        Ok(Json(Me::new(&account, orgs)))
    }
}
