//! Signing in with a mailed code, and resetting a password by a mailed link.

use std::sync::Arc;

use domain::auth::amr::Method;
use domain::auth::{code_sign_in, password_reset, session};
use domain::crypto::password::check_strength;
use domain::kernel::{Reads, Secret};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::dto::Transport;
use super::registration::CodeChallenge;
use super::session::Done;
use super::sign_in::{self, SignInAnswer};
use crate::app::App;
use crate::http::authenticate::origin;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct CodesApi(pub Arc<App>);

/// An address.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct AddressRequest {
    /// The e-mail address of the account.
    pub email: String,
}

/// A code of a sign-in.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct SignInCode {
    /// The token that came when the code was asked for.
    #[oai(write_only)]
    pub challenge_token: String,
    /// The six digits in the mail.
    #[oai(write_only)]
    pub code: String,
    /// How the client will carry its session.
    #[oai(default)]
    pub transport: Transport,
}

/// That a mail goes out if there is an account.
#[derive(Clone, Debug, Object)]
pub struct MailRequested {
    /// What happens next, for people.
    pub message: String,
}

/// A new password by a mailed link.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PasswordReset {
    /// The token in the link: `srm_lnk_…`.
    #[oai(write_only)]
    pub token: String,
    /// 8 to 1024 bytes, and hard to guess.
    #[oai(write_only)]
    pub password: String,
}

#[OpenApi(tag = "Tag::Auth")]
impl CodesApi {
    /// Ask for a sign-in code
    ///
    /// Mails six digits to the address if it belongs to an account. The answer is the same for every address, and beyond
    /// three mails an hour, when no mail goes out.
    #[oai(path = "/v1/auth/code", method = "post", operation_id = "request_sign_in_code")]
    async fn request_sign_in_code(&self, body: Json<AddressRequest>) -> Result<Json<CodeChallenge>, ApiError> {
        let tx = self.0.begin_write().await?;
        let begun = code_sign_in::begin(&tx, self.0.keys.token_mac(), &body.0.email, &origin()).await?;
        let answer = Json(CodeChallenge::new(&begun, tx.now()));
        tx.commit_bookkeeping(answer).await
    }

    /// Sign in with a code
    ///
    /// The code works for ten minutes, for five tries, once, and only with the token that came when it was asked for. It
    /// proves the address: if nobody had proved it before, passwords, tokens and sessions of the account end. An account
    /// with a second factor gets a `challenge_token` instead of a session, as in `/v1/auth/login`.
    #[oai(path = "/v1/auth/code/verify", method = "post", operation_id = "sign_in_with_code")]
    async fn sign_in_with_code(&self, body: Json<SignInCode>) -> Result<SignInAnswer, ApiError> {
        let SignInCode {
            challenge_token,
            code,
            transport,
        } = body.0;
        let macs = self.0.keys.token_mac();
        let proved = code_sign_in::try_code(&self.0.db, macs, &challenge_token, &code).await?;
        let tx = self.0.begin_write().await?;
        let account = proved.finish(&tx).await?;
        let begun = session::begin(&tx, macs, &account, transport.into(), Method::Code, &origin()).await?;
        sign_in::answer(&self.0, tx, &account, begun).await
    }

    /// Ask for a password reset
    ///
    /// Mails a link to the address if it belongs to an account. The answer is the same for every address, and beyond
    /// three mails an hour, when no mail goes out.
    #[oai(
        path = "/v1/auth/password/forgot",
        method = "post",
        operation_id = "request_password_reset"
    )]
    async fn request_password_reset(&self, body: Json<AddressRequest>) -> Result<Json<MailRequested>, ApiError> {
        let tx = self.0.begin_write().await?;
        password_reset::begin(&tx, self.0.keys.token_mac(), &body.0.email, &origin()).await?;
        let message = "If the address belongs to an account, a link is on its way.".to_owned();
        tx.commit_bookkeeping(Json(MailRequested { message })).await
    }

    /// Reset a password
    ///
    /// With the token of the mailed link, once and within an hour. Every session of the account ends; sign in anew.
    #[oai(path = "/v1/auth/password/reset", method = "post", operation_id = "reset_password")]
    async fn reset_password(&self, body: Json<PasswordReset>) -> Result<Done, ApiError> {
        let PasswordReset { token, password } = body.0;
        let password = Secret::new(password);
        let macs = self.0.keys.token_mac();
        let account = password_reset::account(&self.0.db, macs, &token).await?;
        check_strength(&password, &[&account.email, &account.first_name, &account.last_name])?;
        let hash = self.0.passwords.hash(password).await?;
        let tx = self.0.begin_write().await?;
        password_reset::reset(&tx, macs, &token, hash, &origin()).await?;
        tx.commit(Done::Done).await
    }
}
