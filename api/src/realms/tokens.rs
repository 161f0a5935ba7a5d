//! Tokens of a realm: asked for by the application's users and machines themselves.

use std::sync::Arc;

use domain::kernel::{Problem, ProblemCode};
use domain::realms::sign_in::{self, Grant};
use domain::realms::tokens::{Given, give};
use domain::realms::{realm, token};
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;

use super::dto::{RealmRevocation, RealmTokenRequest, RealmTokens};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::authenticate::origin;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct RealmTokensApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Realms")]
impl RealmTokensApi {
    /// Get tokens of a realm
    ///
    /// For a user's address and password, for a service account's id and key, or for a refresh token. An unknown address
    /// and a wrong password are answered alike, and wrong passwords are followed by delays of up to a minute. A refresh token
    /// that was traded before ends all that came of its sign-in. A client whose answer was lost may repeat the trade within
    /// 30 seconds and is given the same refresh token, unless that was used meanwhile. A token for a key ends with the key at
    /// the latest, and a token of `exchange_token` is no key. An organisation without a realm answers as if it were absent.
    #[oai(path = "/v1/orgs/:org/tokens", method = "post", operation_id = "create_realm_token")]
    async fn create_realm_token(
        &self,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<RealmTokenRequest>,
    ) -> Result<Json<RealmTokens>, ApiError> {
        let app = &self.0;
        let realm = realm::named(&app.db, &org).await?;
        let grant = Grant::try_from(body.0)?;
        let proved = sign_in::prove(app.checks(), &realm, grant, &origin()).await?;
        app.signer.ready(&app.db, &app.keys).await?;
        let tx = app.begin_write().await?;
        match give(&tx, &app.minter(), &realm, proved, &origin()).await? {
            Given::Tokens(tokens) => tx.commit(Json(tokens.into())).await,
            Given::ReuseDetected => {
                tx.commit_unanswered().await?;
                let detail = "The refresh token was used before, so its sign-in was ended. Sign in again.";
                Err(Problem::new(ProblemCode::Unauthenticated, detail).into())
            }
        }
    }

    /// Give up a token of a realm
    ///
    /// Whoever holds a token may end it. One that is unknown, ended already or another realm's is answered like one that
    /// was ended.
    #[oai(
        path = "/v1/orgs/:org/tokens/revoke",
        method = "post",
        operation_id = "revoke_realm_token"
    )]
    async fn revoke_realm_token(
        &self,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<RealmRevocation>,
    ) -> Result<Done, ApiError> {
        let app = &self.0;
        let realm = realm::named(&app.db, &org).await?;
        let (tx, macs) = (app.begin_write().await?, app.keys.token_mac());
        if token::revoke(&tx, macs, app.issuer(), &realm, &body.token, &origin()).await? {
            tx.commit(Done::Done).await
        } else {
            tx.give_up(Done::Done).await
        }
    }
}
