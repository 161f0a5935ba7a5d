//! Sign-in and sign-out.

use std::sync::Arc;

use domain::auth::amr::Method;
use domain::auth::{password, refresh, session};
use domain::crypto::token::Token;
use domain::kernel::{Problem, ProblemCode, Reads, Secret};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{Credentials, RefreshRequest, Session};
use super::sign_in::{self, SignInAnswer};
use crate::app::App;
use crate::http::authenticate::{cookie_name, origin};
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

/// A cookie session's life at most, seconds.
const COOKIE_MAX_AGE: u64 = 30 * 24 * 3600;

pub struct SessionApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum Registered {
    /// The account was made and signed in.
    #[oai(status = 201)]
    Created(Json<Session>, #[oai(header = "Set-Cookie")] Option<String>),
}

#[derive(Clone, ApiResponse)]
pub enum SignedIn {
    /// Signed in.
    #[oai(status = 200)]
    Ok(Json<Session>, #[oai(header = "Set-Cookie")] Option<String>),
}

#[derive(Clone, ApiResponse)]
pub enum SignedOut {
    /// The session has ended.
    #[oai(status = 204)]
    Done(#[oai(header = "Set-Cookie")] Option<String>),
}

#[derive(Clone, ApiResponse)]
pub enum Done {
    /// Done.
    #[oai(status = 204)]
    Done,
}

/// The cookie of a session; `None` for bearer transport.
pub(crate) fn cookie(app: &App, tokens: &session::SessionTokens) -> Option<String> {
    tokens.refresh.is_none().then(|| cookie_of(app, &tokens.access))
}

/// The cookie that carries a token.
pub(crate) fn cookie_of(app: &App, token: &Token) -> String {
    let secure = if app.is_https() { "; Secure" } else { "" };
    let (name, token) = (cookie_name(app.is_https()), token.expose());
    format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={COOKIE_MAX_AGE}{secure}")
}

pub(crate) fn no_cookie(app: &App) -> String {
    let secure = if app.is_https() { "; Secure" } else { "" };
    format!(
        "{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{secure}",
        cookie_name(app.is_https())
    )
}

#[OpenApi(tag = "Tag::Auth")]
impl SessionApi {
    /// Sign in with a password
    ///
    /// With e-mail address or username. A wrong name and a wrong password are answered alike. An account with a second
    /// factor gets no session yet but a `challenge_token`, which `/v1/auth/2fa/verify` takes with a code.
    #[oai(path = "/v1/auth/login", method = "post", operation_id = "login")]
    async fn login(&self, body: Json<Credentials>) -> Result<SignInAnswer, ApiError> {
        let Credentials {
            email,
            password,
            transport,
        } = body.0;
        let account = password::check(self.0.checks(), &email, Secret::new(password), &origin()).await?;
        let tx = self.0.begin_write().await?;
        let macs = self.0.keys.token_mac();
        let begun = session::begin(&tx, macs, &account, transport.into(), Method::Password, &origin()).await?;
        sign_in::answer(&self.0, tx, &account, begun).await
    }

    /// Sign out
    ///
    /// Ends this session, its refresh token included. Other sessions go on.
    #[oai(path = "/v1/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, caller: Caller) -> Result<SignedOut, ApiError> {
        let tx = self.0.begin_write().await?;
        session::sign_out(&tx, &caller).await?;
        tx.commit(SignedOut::Done(Some(no_cookie(&self.0)))).await
    }

    /// Prolong a session
    ///
    /// Trades a refresh token for a new access token and a new refresh token. A token that was traded before ends
    /// the whole session. A client whose answer was lost may repeat the trade within 30 seconds and is given the very same
    /// tokens, unless one of them was used meanwhile.
    #[oai(path = "/v1/auth/token/refresh", method = "post", operation_id = "refresh_session")]
    async fn refresh_session(&self, body: Json<RefreshRequest>) -> Result<SignedIn, ApiError> {
        let tx = self.0.begin_write().await?;
        match refresh::refresh(&tx, self.0.keys.token_mac(), &body.0.refresh_token, &origin()).await? {
            refresh::Refreshed::Tokens(account, tokens) => {
                let session = Session::new(&account, None, &tokens, tx.now());
                tx.commit(SignedIn::Ok(Json(session), None)).await
            }
            refresh::Refreshed::ReuseDetected => {
                tx.commit_unanswered().await?;
                let detail = "The refresh token was used before, so its session was ended. Sign in again.";
                Err(Problem::new(ProblemCode::Unauthenticated, detail).into())
            }
        }
    }
}
