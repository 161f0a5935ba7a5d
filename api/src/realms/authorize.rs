//! What a token that somebody was shown is good for.

use std::sync::Arc;

use domain::kernel::Secret;
use domain::realms::authorize::{Asked, authorize};
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;

use super::authorize_dto::{Authorization, AuthorizeRequest};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct AuthorizeApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Realms")]
impl AuthorizeApi {
    /// Check a token and a permission
    ///
    /// For whoever serves a request that brings a token: whether it is in force, whose it is, and whether its holder may do
    /// this now. What the token itself says of roles is not looked at, so a role that was taken away counts at once. Without
    /// `resource` the roles of the application are asked, where `comments:*` covers `comments:write`; with it the platform's
    /// own decision is made, and a token of a realm is good for nothing there. You may ask about tokens of organisations that
    /// you may know of, as a service account of its own, and about your own; any other is answered like no token at all.
    ///
    /// What narrows the credential that you ask with narrows what you may ask. With scopes it needs `access:read` among
    /// them. A place beyond the organisation or the patterns that it is bound to is answered like no token at all too; with
    /// patterns, or of a service account of one project, it does not reach the roles of the application, which are of the
    /// whole organisation.
    #[oai(path = "/v1/authorize", method = "post", operation_id = "authorize_access")]
    async fn authorize(&self, caller: Caller, body: Json<AuthorizeRequest>) -> Result<Json<Authorization>, ApiError> {
        let AuthorizeRequest {
            token,
            permission,
            resource,
        } = body.0;
        let asked = Asked::new(Secret::new(token), permission, resource.map(Into::into))?;
        let app = &self.0;
        let verdict = authorize(&app.db, app.keys.token_mac(), app.issuer(), &caller, &asked).await?;
        Ok(Json(verdict.into()))
    }
}
