//! The way to a provider and back.

use std::sync::Arc;

use domain::access::CredentialKind;
use domain::auth::session as sessions;
use domain::foreign::Failure;
use domain::kernel::{Error, Reads};
use domain::sso::attempt::{self, Attempt, Begun, Purpose, Returned, Wish};
use domain::sso::connection::Connection;
use domain::sso::provider::{self, Provider};
use domain::sso::{identity, next, probe, refusal, session, sign_in};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{SsoLogout, SsoProviders, SsoTrial, SsoWay};
use super::half::{self, Half};
use crate::app::App;
use crate::auth::session::{cookie_of, no_cookie};
use crate::http::authenticate::origin;
use crate::http::caller::{Caller, OptionalCaller};
use crate::http::problem::ApiError;
use crate::http::write::Write;
use crate::tags::Tag;

pub struct SsoApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum SsoStarted {
    /// Go on at the provider.
    #[oai(status = 303)]
    Onward(#[oai(header = "Location")] String, #[oai(header = "Set-Cookie")] String),
}

#[derive(Clone, ApiResponse)]
pub enum SsoFinished {
    /// What a test came to.
    #[oai(status = 200)]
    Tried(Json<SsoTrial>),
    /// Signed in, or joined: go on here.
    #[oai(status = 303)]
    Onward(
        #[oai(header = "Location")] String,
        #[oai(header = "Set-Cookie")] Option<String>,
    ),
}

#[derive(Clone, ApiResponse)]
pub enum SsoLinkStarted {
    /// Where the browser goes.
    #[oai(status = 200)]
    Onward(Json<SsoWay>, #[oai(header = "Set-Cookie")] String),
}

#[derive(Clone, ApiResponse)]
pub enum SsoSignedOut {
    /// The session has ended.
    #[oai(status = 200)]
    Done(Json<SsoLogout>, #[oai(header = "Set-Cookie")] String),
}

/// Finds out where a provider is reached; the log tells why not.
pub(super) async fn connect(app: &App, provider: &Provider) -> Result<Connection, ApiError> {
    let found = Connection::of(&app.issuers, provider, app.db.now()).await;
    let gone = |failure| {
        note(provider, &failure);
        refusal::unreachable()
    };
    Ok(found.map_err(gone)?)
}

fn note(provider: &Provider, failure: &Failure) {
    tracing::warn!(
        provider = provider.place.name(),
        reason = failure.reason(),
        "a sign-in with an identity provider came to nothing"
    );
}

fn refused(provider: &Provider, failure: &Failure) -> Error {
    note(provider, failure);
    refusal::of(failure).into()
}

/// Begins a way in an open transaction.
pub(super) async fn begin(
    app: &App,
    tx: &Write<'_>,
    provider: &Provider,
    connection: &Connection,
    half: &Half,
    (purpose, next): (Purpose, &str),
) -> Result<Begun, ApiError> {
    let wish = Wish {
        purpose,
        next,
        known: half.of(app),
        base: app.issuer(),
    };
    Ok(attempt::begin(tx, app.keys.token_mac(), connection, provider, wish).await?)
}

#[OpenApi(tag = "Tag::Auth")]
impl SsoApi {
    /// Show the ways of single sign-on
    ///
    /// The instance's identity provider, and that of an organisation that is named. Empty when there is none.
    #[oai(path = "/v1/auth/sso", method = "get", operation_id = "get_sso_providers")]
    async fn get_sso_providers(
        &self,
        /// Id or slug of an organisation whose provider to show too.
        org: Query<Option<String>>,
    ) -> Result<Json<SsoProviders>, ApiError> {
        let offered = provider::offered(&self.0.db, org.0.as_deref()).await?;
        Ok(Json(SsoProviders {
            enabled: !offered.is_empty(),
            providers: offered.into_iter().map(Into::into).collect(),
        }))
    }

    /// Begin a sign-in with an identity provider
    ///
    /// For browsers: it leads to the provider, whose answer comes back within ten minutes to the same browser. 503 when
    /// the provider is not set up or does not answer.
    #[oai(path = "/v1/auth/sso/:provider/start", method = "get", operation_id = "start_sso")]
    async fn start_sso(
        &self,
        half: Half,
        /// `instance`, or the id of an organisation: `org_…`.
        provider: Path<String>,
        /// Where to go on then: a path of this instance; `/docs` if absent.
        next: Query<Option<String>>,
    ) -> Result<SsoStarted, ApiError> {
        let next = next::local(next.0)?;
        let provider = provider::enabled(&self.0.db, &provider).await?;
        let connection = connect(&self.0, &provider).await?;
        let tx = self.0.begin_write().await?;
        let begun = begin(&self.0, &tx, &provider, &connection, &half, (Purpose::SignIn, &next)).await?;
        let cookie = half::keep(&self.0, &begun.half);
        tx.commit_bookkeeping(SsoStarted::Onward(begun.url, cookie)).await
    }

    /// Finish a sign-in with an identity provider
    ///
    /// Where the provider sends the browser back to. It works once, in the browser that began. An account is known by the
    /// provider's issuer and subject. People without an account get one if the provider is set up so, else 403; an
    /// account that has the address already is joined only when both sides have verified it and no password is passed by:
    /// with one, sign in with it and join the two. An account with a second factor is asked for it next.
    #[oai(
        path = "/v1/auth/sso/:provider/callback",
        method = "get",
        operation_id = "finish_sso"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn finish_sso(
        &self,
        caller: OptionalCaller,
        half: Half,
        /// `instance`, or the id of an organisation: `org_…`.
        provider: Path<String>,
        /// What the way began with.
        state: Query<Option<String>>,
        /// What is traded for who it is.
        code: Query<Option<String>>,
        /// Why there is no code.
        error: Query<Option<String>>,
        /// Who answers.
        iss: Query<Option<String>>,
    ) -> Result<SsoFinished, ApiError> {
        let returned = Returned {
            state: state.0,
            code: code.0,
            error: error.0,
            iss: iss.0,
        };
        let tx = self.0.begin_write().await?;
        let half = half.of(&self.0);
        let attempt = attempt::take(&tx, self.0.keys.token_mac(), &provider, &returned, half).await?;
        tx.commit_bookkeeping(()).await?;
        match attempt.purpose {
            Purpose::SignIn => self.signed_in(&attempt, &returned).await,
            Purpose::Link(user) => self.linked(caller, &attempt, &returned, user).await,
            Purpose::Test(user) => {
                let found = provider::find(&self.0.db, attempt.place).await?;
                let provider = found.ok_or_else(refusal::not_configured)?;
                let way = (&attempt, &returned, self.0.issuer());
                let OptionalCaller(Some(caller)) = caller else {
                    return Err(refusal::lost().into());
                };
                let (db, keys, issuers) = (&self.0.db, &self.0.keys, &self.0.issuers);
                let trial = probe::trial(db, keys, issuers, &provider, way, (&*caller, user)).await?;
                Ok(SsoFinished::Tried(Json(trial.into())))
            }
        }
    }

    /// Join an identity with the signed-in account
    ///
    /// Leads to the provider like a sign-in; the identity that comes back signs in to this account from then on. Whoever
    /// runs the provider can sign in as you then: join only one that you trust. Needs a sign-in of the last ten minutes.
    #[oai(path = "/v1/auth/sso/:provider/link", method = "post", operation_id = "link_sso")]
    async fn link_sso(
        &self,
        caller: Caller,
        half: Half,
        /// `instance`, or the id of an organisation: `org_…`.
        provider: Path<String>,
        /// Where to go on then: a path of this instance; `/docs` if absent.
        next: Query<Option<String>>,
    ) -> Result<SsoLinkStarted, ApiError> {
        domain::access::grant::require_recent_sign_in(&self.0.db, &caller)?;
        let user = caller.session_user()?;
        let next = next::local(next.0)?;
        let provider = provider::enabled(&self.0.db, &provider).await?;
        let connection = connect(&self.0, &provider).await?;
        let tx = self.0.begin_write().await?;
        let begun = begin(
            &self.0,
            &tx,
            &provider,
            &connection,
            &half,
            (Purpose::Link(user), &next),
        )
        .await?;
        let way = Json(SsoWay {
            authorization_url: begun.url,
        });
        let answer = SsoLinkStarted::Onward(way, half::keep(&self.0, &begun.half));
        tx.commit_bookkeeping(answer).await
    }

    /// Sign out, of the identity provider too
    ///
    /// Ends this session, and tells where the browser ends that of the provider which the session came from. Without a
    /// session it has nothing to end.
    #[oai(path = "/v1/auth/sso/logout", method = "post", operation_id = "logout_sso")]
    async fn logout_sso(&self, caller: OptionalCaller) -> Result<SsoSignedOut, ApiError> {
        let done = |logout_url| SsoSignedOut::Done(Json(SsoLogout { logout_url }), no_cookie(&self.0));
        // An API token has no session to end.
        let session = caller.0.filter(|caller| caller.kind == CredentialKind::Session);
        let Some(caller) = session else {
            return Ok(done(None));
        };
        let back = format!("{}{}", self.0.issuer(), next::DEFAULT);
        let url = match session::provider_of(&self.0.db, &caller).await? {
            None => None,
            Some(provider) => session::logout_url(&self.0.issuers, &provider, &self.0.db, &back).await,
        };
        let tx = self.0.begin_write().await?;
        sessions::sign_out(&tx, &caller).await?;
        tx.commit(done(url)).await
    }
}

impl SsoApi {
    /// The provider that somebody came back from, if it still lets people in.
    async fn provider_of(&self, attempt: &Attempt, returned: &Returned) -> Result<Provider, ApiError> {
        let found = provider::enabled_at(&self.0.db, attempt.place).await?;
        let provider = found.ok_or_else(refusal::not_configured)?;
        if returned.error.is_some() {
            return Err(refusal::denied().into());
        }
        Ok(provider)
    }

    async fn signed_in(&self, attempt: &Attempt, returned: &Returned) -> Result<SsoFinished, ApiError> {
        let app = &self.0;
        let provider = self.provider_of(attempt, returned).await?;
        let asked = attempt.person(&app.db, &app.keys, &app.issuers, &provider, returned, app.issuer());
        let person = asked.await?.map_err(|failure| refused(&provider, &failure))?;
        let tx = app.begin_write().await?;
        let (_, begun) = sign_in::sign_in(&tx, &app.keys, &provider, &person, &origin()).await?;
        match begun {
            sessions::Begun::Session(tokens) => {
                let cookie = Some(cookie_of(app, &tokens.access));
                tx.commit(SsoFinished::Onward(attempt.next.clone(), cookie)).await
            }
            sessions::Begun::SecondFactorNeeded(pending) => {
                let next = url::form_urlencoded::byte_serialize(attempt.next.as_bytes()).collect::<String>();
                let to = format!("/sign-in?step=code&next={next}");
                let cookie = Some(half::pending(app, &pending.token));
                tx.commit_bookkeeping(SsoFinished::Onward(to, cookie)).await
            }
        }
    }

    async fn linked(
        &self,
        caller: OptionalCaller,
        attempt: &Attempt,
        returned: &Returned,
        begun_by: domain::kernel::id::UserId,
    ) -> Result<SsoFinished, ApiError> {
        let app = &self.0;
        let OptionalCaller(Some(caller)) = caller else {
            return Err(refusal::lost().into());
        };
        let provider = self.provider_of(attempt, returned).await?;
        let asked = attempt.person(&app.db, &app.keys, &app.issuers, &provider, returned, app.issuer());
        let person = asked.await?.map_err(|failure| refused(&provider, &failure))?;
        let tx = app.begin_write().await?;
        identity::link(&tx, &caller, &provider, &person, begun_by).await?;
        tx.commit(SsoFinished::Onward(attempt.next.clone(), None)).await
    }
}
