//! Confirming in a session that it is still its person, before a dangerous act. With a second factor the second factor
//! is wanted; without one the password; without either a mailed code.

use super::account;
use super::amr::Method;
use super::code_sign_in;
use super::password::{self, Checks};
use super::pending;
use super::second_factor;
use super::sessions;
use super::throttle::{Attempt, Subject};
use crate::access::Caller;
use crate::access::grant::RECENT_SIGN_IN;
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::Token;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Secret, Timestamp, WriteTx};

/// What a person shows.
#[derive(Default)]
pub struct Shown {
    pub password: Option<Secret<String>>,
    /// Of the generator, a recovery code, or mailed.
    pub code: Option<String>,
    /// The challenge that a mailed code belongs to.
    pub challenge_token: Option<String>,
}

/// What was looked at before the transaction is opened.
pub enum Checked {
    Password,
    MailedCode(Box<code_sign_in::Proved>),
    /// Looked at in the transaction, because it uses the code up.
    SecondFactor(String),
}

/// What the account can show, as published.
fn wanted(methods: &'static [&'static str]) -> Error {
    Problem::new(
        ProblemCode::InvalidCredentials,
        "Show one of `methods` to confirm that it is you.",
    )
    .with("methods", methods.to_vec())
    .into()
}

/// Checks what does not change anything by being checked.
///
/// # Errors
/// `invalid_credentials` naming the `methods` that the account has; `rate_limited`; `session_required`.
pub async fn check(with: Checks<'_>, caller: &Caller, shown: Shown) -> Result<Checked> {
    let user = caller.session_user()?;
    let Shown {
        password,
        code,
        challenge_token,
    } = shown;
    if second_factor::is_on(with.db, user).await? {
        let code = code.ok_or_else(|| wanted(&["totp", "recovery"]))?;
        return Ok(Checked::SecondFactor(code));
    }
    let account = account::get(with.db, user).await?;
    if account.has_password() {
        let password = password.ok_or_else(|| wanted(&["password"]))?;
        password::check_own(with, account, password, &caller.origin).await?;
        return Ok(Checked::Password);
    }
    let (Some(code), Some(token)) = (code, challenge_token) else {
        return Err(wanted(&["code"]));
    };
    let subject = Subject::account(with.macs, Attempt::MailedCode, user);
    let attempt = code_sign_in::try_code(with.db, with.macs, &token, &code);
    let proved = with.throttle.guard(with.db, subject, attempt).await?;
    if proved.account.id != user {
        return Err(code_sign_in::refused().into());
    }
    Ok(Checked::MailedCode(Box::new(proved)))
}

/// A session whose person was confirmed.
pub struct Confirmed {
    /// Until when it counts.
    pub until: Timestamp,
    /// What its cookie carries from now on, if it has one.
    pub renewed: Option<Token>,
}

/// Notes the confirmation in the caller's session, its refresh token included.
///
/// # Errors
/// `invalid_credentials` for a wrong code.
pub async fn confirm(tx: &WriteTx, keys: &KeyStore, caller: &Caller, checked: Checked) -> Result<Confirmed> {
    let user = caller.session_user()?;
    let method = match checked {
        Checked::Password => Method::Password,
        Checked::MailedCode(proved) => {
            proved.finish(tx).await?;
            Method::Code
        }
        Checked::SecondFactor(code) => second_factor::prove(tx, keys, user, &code)
            .await?
            .ok_or_else(pending::wrong_code)?,
    };
    let renewed = sessions::proved(tx, keys.token_mac(), caller, method).await?;
    let session = sessions::family(tx, caller).await?;
    let entry = Entry::of_account(user, Action::SessionConfirmed, Target::Session(session));
    journal::record(tx, &caller.origin, entry.with("method", method.as_str())).await?;
    let until = tx.now() + RECENT_SIGN_IN;
    Ok(Confirmed { until, renewed })
}
