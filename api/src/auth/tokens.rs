//! Personal tokens.

use std::sync::Arc;

use domain::auth::token;
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::session::Done;
use super::token_dto::{CreatedToken, NewToken, Token};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct TokensApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum TokenCreated {
    /// The token was made.
    #[oai(status = 201)]
    Created(Json<CreatedToken>),
}

#[OpenApi(tag = "Tag::Auth")]
impl TokensApi {
    /// List personal tokens
    ///
    /// Those of the caller that were not revoked, newest first, with all that each is narrowed to.
    #[oai(path = "/v1/auth/tokens", method = "get", operation_id = "list_tokens")]
    async fn list_tokens(
        &self,
        caller: Caller,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Token>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let tokens = token::list(&self.0.db, &caller, page).await?;
        Ok(Json(List::of(tokens, Token::from)))
    }

    /// Make a personal token
    ///
    /// For programs that act for the signed-in person. It can be narrowed to permissions, places and one
    /// organisation, and it never reaches further than its owner. The token is shown this once.
    #[oai(path = "/v1/auth/tokens", method = "post", operation_id = "create_token")]
    async fn create_token(&self, caller: Caller, body: Json<NewToken>) -> Result<TokenCreated, ApiError> {
        let NewToken {
            name,
            expires_days,
            scopes,
            patterns,
            org,
        } = body.0;
        let tx = self.0.begin_write().await?;
        let new = token::NewToken {
            name,
            expires_days,
            scopes,
            patterns,
            org,
        };
        let made = token::create(&tx, self.0.keys.token_mac(), &caller, new).await?;
        tx.commit(TokenCreated::Created(Json(CreatedToken::new(&made.token, made.shown))))
            .await
    }

    /// Revoke a personal token
    ///
    /// It is refused from the next request on.
    #[oai(path = "/v1/auth/tokens/:id", method = "delete", operation_id = "delete_token")]
    async fn delete_token(
        &self,
        caller: Caller,
        /// Id of the token: `tok_…`.
        id: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        token::revoke(&tx, &caller, &id).await?;
        tx.commit(Done::Done).await
    }
}
