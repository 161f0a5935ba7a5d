//! The answer to a first factor: a session, or the challenge of the second. Every way to sign in answers with it.

use domain::auth::Account;
use domain::auth::session::{Begun, SessionTokens};
use domain::kernel::{Reads, Timestamp};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object};

use super::dto::{OrgReference, Session, User};
use super::session::cookie;
use crate::app::App;
use crate::http::problem::ApiError;
use crate::http::write::Write;

/// What can be shown as a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SecondFactorMethod {
    /// The code that the authenticator app shows.
    Totp,
    /// One of the recovery codes.
    Recovery,
}

/// A new session, or the challenge that leads to one when the account has a second factor.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SignIn {
    /// Whether a second factor is wanted before there is a session. Then only `challenge_token`, `methods` and
    /// `expires_in` are present.
    pub mfa_required: bool,
    /// Who signed in.
    pub user: Option<User>,
    /// The personal organisation, when the account was made by this.
    pub org: Option<OrgReference>,
    /// Bearer transport: send it as `Authorization: Bearer`.
    pub access_token: Option<String>,
    /// Bearer transport: always `Bearer`.
    pub token_type: Option<String>,
    /// Life of the access token, or of the challenge, seconds.
    pub expires_in: Option<i64>,
    /// Bearer transport: trade it for new tokens before the access token ends. Each is good for one use.
    pub refresh_token: Option<String>,
    /// Send it to `/v1/auth/2fa/verify` with a code: `srm_chl_…`. Good for five tries.
    pub challenge_token: Option<String>,
    /// What can be shown as the second factor.
    pub methods: Option<Vec<SecondFactorMethod>>,
}

impl SignIn {
    fn of_session(account: &Account, tokens: &SessionTokens, now: Timestamp) -> Self {
        let Session {
            user,
            org,
            access_token,
            token_type,
            expires_in,
            refresh_token,
        } = Session::new(account, None, tokens, now);
        Self {
            mfa_required: false,
            user: Some(user),
            org,
            access_token,
            token_type,
            expires_in,
            refresh_token,
            challenge_token: None,
            methods: None,
        }
    }
}

#[derive(Clone, ApiResponse)]
pub enum SignInAnswer {
    /// Signed in, or a second factor is wanted.
    #[oai(status = 200)]
    Ok(Json<SignIn>, #[oai(header = "Set-Cookie")] Option<String>),
}

/// Commits what a first factor came to, and answers.
pub(crate) async fn answer(
    app: &App,
    tx: Write<'_>,
    account: &Account,
    begun: Begun,
) -> Result<SignInAnswer, ApiError> {
    match begun {
        Begun::Session(tokens) => {
            let body = SignIn::of_session(account, &tokens, tx.now());
            tx.commit(SignInAnswer::Ok(Json(body), cookie(app, &tokens))).await
        }
        // Nothing has happened yet that the journal would tell of.
        Begun::SecondFactorNeeded(pending) => {
            let body = SignIn {
                mfa_required: true,
                user: None,
                org: None,
                access_token: None,
                token_type: None,
                expires_in: Some(pending.expires_at.secs() - tx.now().secs()),
                refresh_token: None,
                challenge_token: Some(pending.token.expose().to_owned()),
                methods: Some(vec![SecondFactorMethod::Totp, SecondFactorMethod::Recovery]),
            };
            tx.commit_unchanged(SignInAnswer::Ok(Json(body), None)).await
        }
    }
}
