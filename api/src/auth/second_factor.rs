//! The second factor: setting it up, and showing it.

use std::sync::Arc;

use domain::auth::throttle::{Attempt, Subject};
use domain::auth::{pending, second_factor};
use domain::kernel::{Reads, Secret};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::dto::Session;
use super::qr;
use super::session::{Done, SignedIn, cookie, cookie_of};
use crate::app::App;
use crate::http::authenticate::origin;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct SecondFactorApi(pub Arc<App>);

/// The second factor of an account.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct SecondFactor {
    /// Whether signing in takes a second factor.
    pub enabled: bool,
    /// When it was switched on.
    pub enabled_at: Option<Time>,
    /// Whether a seed was made that waits for its first code.
    pub prepared: bool,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: i64,
}

impl From<second_factor::Status> for SecondFactor {
    fn from(status: second_factor::Status) -> Self {
        let second_factor::Status {
            enabled_at,
            is_prepared,
            recovery_codes_left,
        } = status;
        Self {
            enabled: enabled_at.is_some(),
            enabled_at: enabled_at.map(Into::into),
            prepared: is_prepared,
            recovery_codes_left,
        }
    }
}

/// A seed for an authenticator app, shown this once. It is not in force until `/v1/auth/2fa/enable`.
#[derive(Clone, Debug, Object)]
pub struct PreparedSecondFactor {
    /// The seed in base32, for typing it into the app.
    pub secret: String,
    /// What the QR code says: `otpauth://totp/…`.
    pub otpauth_uri: String,
    /// The QR code as an SVG drawing.
    pub qr_svg: String,
}

/// A code of the authenticator app.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct EnableSecondFactor {
    /// The six digits that the app shows.
    #[oai(write_only)]
    pub code: String,
}

/// Recovery codes, shown this once. Each signs in once in place of the app's code.
#[derive(Clone, Debug, Object)]
pub struct RecoveryCodes {
    /// Ten codes: `ABCD-EFGH-IJKL-MNOP-QRST-UVWX`.
    pub recovery_codes: Vec<String>,
}

impl From<Vec<Secret<String>>> for RecoveryCodes {
    fn from(codes: Vec<Secret<String>>) -> Self {
        Self {
            recovery_codes: codes.iter().map(|code| code.expose().clone()).collect(),
        }
    }
}

/// The second factor of a sign-in.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct VerifySecondFactor {
    /// The token of the sign-in's answer: `srm_chl_…`.
    #[oai(write_only)]
    pub challenge_token: String,
    /// The six digits that the app shows, or a recovery code.
    #[oai(write_only)]
    pub code: String,
}

#[derive(Clone, ApiResponse)]
pub enum SecondFactorEnabled {
    /// It is on.
    #[oai(status = 200)]
    Ok(Json<RecoveryCodes>, #[oai(header = "Set-Cookie")] Option<String>),
}

#[OpenApi(tag = "Tag::Auth")]
impl SecondFactorApi {
    /// Show the second factor
    ///
    /// Whether it is on, and how many recovery codes are left.
    #[oai(path = "/v1/auth/2fa", method = "get", operation_id = "get_second_factor")]
    async fn get_second_factor(&self, caller: Caller) -> Result<Json<SecondFactor>, ApiError> {
        let user = caller.session_user()?;
        Ok(Json(second_factor::status(&self.0.db, user).await?.into()))
    }

    /// Prepare a second factor
    ///
    /// Makes a seed for an authenticator app, with its QR code. Nothing changes at sign-in until a code of it was
    /// shown to `/v1/auth/2fa/enable`. Needs a recent sign-in.
    #[oai(path = "/v1/auth/2fa/setup", method = "post", operation_id = "prepare_second_factor")]
    async fn prepare_second_factor(&self, caller: Caller) -> Result<Json<PreparedSecondFactor>, ApiError> {
        let tx = self.0.begin_write().await?;
        let prepared = second_factor::prepare(&tx, &self.0.keys, &caller).await?;
        let shown = PreparedSecondFactor {
            secret: prepared.secret.expose().clone(),
            otpauth_uri: prepared.uri.expose().clone(),
            qr_svg: qr::svg(prepared.uri.expose())?,
        };
        tx.commit(Json(shown)).await
    }

    /// Switch the second factor on
    ///
    /// With a code of the prepared seed. Other sessions end, this one goes on; if a cookie carries it, under a new cookie.
    /// Keep the recovery codes: they are shown this once. Needs a recent sign-in.
    #[oai(path = "/v1/auth/2fa/enable", method = "post", operation_id = "enable_second_factor")]
    async fn enable_second_factor(
        &self,
        caller: Caller,
        body: Json<EnableSecondFactor>,
    ) -> Result<SecondFactorEnabled, ApiError> {
        let tx = self.0.begin_write().await?;
        let enabled = second_factor::enable(&tx, &self.0.keys, &caller, &body.0.code).await?;
        let cookie = enabled.renewed.map(|token| cookie_of(&self.0, &token));
        let body = Json(enabled.recovery_codes.into());
        tx.commit(SecondFactorEnabled::Ok(body, cookie)).await
    }

    /// Switch the second factor off
    ///
    /// The recovery codes go with it, and other sessions end. Needs a recent sign-in.
    #[oai(
        path = "/v1/auth/2fa/disable",
        method = "post",
        operation_id = "disable_second_factor"
    )]
    async fn disable_second_factor(&self, caller: Caller) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        second_factor::disable(&tx, &caller).await?;
        tx.commit(Done::Done).await
    }

    /// Make new recovery codes
    ///
    /// The old ones stop working. The new ones are shown this once. Needs a recent sign-in.
    #[oai(
        path = "/v1/auth/2fa/recovery-codes",
        method = "post",
        operation_id = "make_recovery_codes"
    )]
    async fn make_recovery_codes(&self, caller: Caller) -> Result<Json<RecoveryCodes>, ApiError> {
        let tx = self.0.begin_write().await?;
        let codes = second_factor::make_recovery_codes(&tx, self.0.keys.token_mac(), &caller).await?;
        tx.commit(Json(codes.into())).await
    }

    /// Finish a sign-in with the second factor
    ///
    /// After a sign-in that answered `mfa_required`: five tries, within five minutes. The session has the transport
    /// that the sign-in asked for.
    #[oai(path = "/v1/auth/2fa/verify", method = "post", operation_id = "verify_second_factor")]
    async fn verify_second_factor(&self, body: Json<VerifySecondFactor>) -> Result<SignedIn, ApiError> {
        let VerifySecondFactor { challenge_token, code } = body.0;
        let macs = self.0.keys.token_mac();
        let found = pending::find(&self.0.db, macs, &challenge_token).await?;
        let subject = Subject::account(macs, Attempt::SecondFactor, found.user);
        // Boxed: it holds a whole sign-in, and every caller would carry room for it.
        let finish = Box::pin(async {
            found.count_try(&self.0.db).await?;
            let tx = self.0.begin_write().await?;
            let (account, tokens) = found.finish(&tx, &self.0.keys, &code, &origin()).await?;
            let session = Session::new(&account, None, &tokens, tx.now());
            tx.commit(SignedIn::Ok(Json(session), cookie(&self.0, &tokens))).await
        });
        self.0.throttle.guard(&self.0.db, subject, finish).await
    }
}
