//! Registering by proving the address first: start, code, password. Starting does the same for every address; whoever
//! has an account already is told so by mail alone.

use std::time::Duration;

use super::challenge::code::{self, At, Begun, CODE_TTL};
use super::challenge::{self, Purpose};
use super::recipient;
use super::register::{self, NewAccount, Registered, Registration};
use super::session::Transport;
use crate::access::Origin;
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::{Token, TokenMacKey};
use crate::kernel::id::ChallengeId;
use crate::kernel::text::Email;
use crate::kernel::{Db, Error, Problem, Reads, Result, Secret, WriteTx, text};
use crate::mail::Template;

/// How long somebody may take to choose a password.
pub const REGISTERING_TTL: Duration = Duration::from_mins(30);

/// Begins a registration for an address, and queues its mail.
///
/// # Errors
/// `invalid_field` for what is no address.
pub async fn begin(tx: &WriteTx, macs: &TokenMacKey, address: &str, origin: &Origin) -> Result<Begun> {
    let address = text::email("email", address)?;
    let template = Template::RegistrationCode;
    code::begin(tx, macs, Purpose::Registration, template, &address, CODE_TTL, origin).await
}

/// The mail of a registration that has begun.
pub enum Mailing {
    /// Brings the code.
    Code { to: String, code: Secret<String> },
    /// Tells that there is an account already.
    Taken { to: String, first_name: String },
}

/// Makes the code, for the worker, as it sends the mail. `None` when the challenge has ended, or the address belongs to
/// an account that is disabled.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn issue(tx: &WriteTx, macs: &TokenMacKey, id: ChallengeId) -> Result<Option<Mailing>> {
    let Some(waiting) = code::waiting(tx, id).await? else {
        return Ok(None);
    };
    let Some(owner) = recipient::owner_of(tx, &waiting.address.canonical).await? else {
        let code = code::issue_code(tx, macs, Purpose::Registration, id, None).await?;
        let to = waiting.address.display;
        return Ok(Some(Mailing::Code { to, code }));
    };
    Ok(owner.disabled_at.is_none().then_some(Mailing::Taken {
        to: owner.address,
        first_name: owner.first_name,
    }))
}

/// Begins a registration anew for the address of one that its client began.
///
/// # Errors
/// `invalid_field` for a token that is unknown, met or replaced.
pub async fn begin_again(tx: &WriteTx, macs: &TokenMacKey, token: &str, origin: &Origin) -> Result<Begun> {
    let address = code::begun_for(tx, macs, Purpose::Registration, token).await?;
    let address = address.ok_or_else(|| {
        Problem::field(
            "challenge_token",
            "invalid",
            "is unknown, used or replaced; register anew",
        )
    })?;
    let template = Template::RegistrationCode;
    code::begin(tx, macs, Purpose::Registration, template, &address, CODE_TTL, origin).await
}

/// An address that was proved by its code.
pub struct Proved {
    met: code::Met,
    address: Email,
}

fn wrong_code() -> Error {
    let message = "is wrong, used or too old, or was asked for elsewhere; after five tries ask for a new one";
    Problem::field("code", "invalid", message).into()
}

/// Tries a code. Call it before the transaction of the change is opened: the try is counted in one of its own.
///
/// # Errors
/// `invalid_field`, whatever is wrong with it.
pub async fn try_code(db: &Db, macs: &TokenMacKey, token: &str, code: &str) -> Result<Proved> {
    let met = code::try_code(db, macs, Purpose::Registration, At::Token(token), code).await?;
    let met = met.ok_or_else(wrong_code)?;
    let address = met.address.clone().ok_or_else(wrong_code)?;
    Ok(Proved { met, address })
}

impl Proved {
    /// Uses the code up; returns the token that goes on with the registration.
    ///
    /// # Errors
    /// `invalid_field` when it was used meanwhile.
    pub async fn finish(self, tx: &WriteTx, macs: &TokenMacKey, origin: &Origin) -> Result<Token> {
        let Self { met, address } = self;
        if !code::finish(tx, &met).await? {
            return Err(wrong_code());
        }
        code::hand_on(tx, macs, Purpose::Registering, &address, REGISTERING_TTL, origin).await
    }
}

fn over() -> Problem {
    Problem::field(
        "registration_token",
        "invalid",
        "is unknown, used or too old; register anew",
    )
}

/// The address that a registration token stands for; it stays good.
///
/// # Errors
/// `invalid_field`.
pub async fn address(from: &impl Reads, macs: &TokenMacKey, token: &str) -> Result<Email> {
    let row = challenge::peek(from, macs, Purpose::Registering, token).await?;
    let payload = row.and_then(|row| row.payload).ok_or_else(over)?;
    Ok(code::address_of(&payload).ok_or_else(over)?)
}

/// Makes the account, its address verified, and signs it in.
///
/// # Errors
/// `invalid_field` for a token that was used meanwhile; `email_taken`.
pub async fn complete(
    tx: &WriteTx,
    keys: &KeyStore,
    token: &str,
    registration: Registration,
    password_hash: String,
    transport: Transport,
    origin: &Origin,
) -> Result<Registered> {
    let used = challenge::use_up(tx, keys.token_mac(), Purpose::Registering, token).await?;
    if used.is_none() {
        return Err(over().into());
    }
    let Registration {
        email,
        first_name,
        last_name,
    } = registration;
    let new = NewAccount {
        email,
        verified: true,
        first_name,
        last_name,
        password_hash: Some(password_hash),
    };
    let (account, _, org) = register::create_account(tx, keys, new).await?;
    register::begin_first_session(tx, keys, account, org, transport, origin).await
}
