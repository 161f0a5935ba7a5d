//! The applications that the signed-in person lets act for them.

use std::sync::Arc;

use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::oauth::consents::{self, Consented};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct GrantsApi(pub Arc<App>);

/// An application that you let act for you.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none, rename = "OAuthGrant")]
pub struct OAuthGrant {
    /// The `client_id` of the application: `cli_…`, or `strongroom-cli` for our own command line.
    pub id: String,
    /// The name of the application.
    pub name: String,
    /// Where people can read about it.
    pub homepage: Option<String>,
    /// What it may: `openid`, `profile`, `email`, `offline_access`, permissions such as `secrets:read@dev`; `*` for all that
    /// you may.
    pub scopes: Vec<String>,
    /// Ids of the organisations that it reaches: `org_…`; none if it only signs you in. Absent: all of yours.
    pub org_ids: Option<Vec<String>>,
    /// When you first let it.
    pub created_at: Time,
    /// When it last used or renewed a token that is still kept, to the minute.
    pub last_used_at: Option<Time>,
    /// When it must ask anew at the latest.
    pub expires_at: Time,
}

impl From<Consented> for OAuthGrant {
    fn from(consented: Consented) -> Self {
        let Consented {
            client,
            scopes,
            orgs,
            created_at,
            last_used_at,
            ends_at,
        } = consented;
        Self {
            id: client.client_id(),
            name: client.name,
            homepage: client.homepage,
            scopes: scopes.to_list(),
            org_ids: orgs.map(|orgs| orgs.iter().map(ToString::to_string).collect()),
            created_at: created_at.into(),
            last_used_at: last_used_at.map(Into::into),
            expires_at: ends_at.into(),
        }
    }
}

#[OpenApi(tag = "Tag::OAuth")]
impl GrantsApi {
    /// List the applications that act for you
    ///
    /// Those that you agreed to, and your devices, which are one entry. An application is one entry however often it asked.
    /// The newest first.
    #[oai(path = "/v1/oauth/grants", method = "get", operation_id = "list_oauth_grants")]
    async fn list_oauth_grants(
        &self,
        caller: Caller,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<OAuthGrant>>, ApiError> {
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let found = consents::list(&self.0.db, &caller, page).await?;
        Ok(Json(List::of(found, OAuthGrant::from)))
    }

    /// Stop an application from acting for you
    ///
    /// All of its tokens for you are refused from the next request on, refresh tokens included, and it must ask anew. Whoever
    /// checks signed tokens without asking us believes an access token for up to 15 minutes more.
    #[oai(
        path = "/v1/oauth/grants/:client",
        method = "delete",
        operation_id = "revoke_oauth_grant"
    )]
    async fn revoke_oauth_grant(
        &self,
        caller: Caller,
        /// The `client_id` of the application: `cli_…`, or `strongroom-cli`.
        client: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        consents::revoke(&tx, &caller, &client).await?;
        tx.commit(Done::Done).await
    }
}
