//! Signing in with a six-digit code that is mailed. Asking for one does the same for every address; see
//! [`challenge::code`].

use super::account::{self, Account};
use super::challenge::Purpose;
use super::challenge::code::{self, At, Begun, CODE_TTL, Met};
use super::{claim, recipient, second_factor};
use crate::access::Origin;
use crate::crypto::token::TokenMacKey;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::ChallengeId;
use crate::kernel::{Db, Problem, ProblemCode, Result, Secret, WriteTx, text};
use crate::mail::Template;

/// Begins a sign-in for an address, and queues its mail.
///
/// # Errors
/// `invalid_field` for what is no address.
pub async fn begin(tx: &WriteTx, macs: &TokenMacKey, address: &str, origin: &Origin) -> Result<Begun> {
    let address = text::email("email", address)?;
    let template = Template::SignInCode;
    code::begin(tx, macs, Purpose::SignIn, template, &address, CODE_TTL, origin).await
}

/// The mail that brings a code.
pub struct Mailing {
    pub to: String,
    pub first_name: String,
    pub code: Secret<String>,
}

/// Makes the code, for the worker, as it sends the mail, and journals that one was asked for. `None` when the challenge
/// has ended or the address belongs to no account that may sign in.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn issue(tx: &WriteTx, macs: &TokenMacKey, id: ChallengeId) -> Result<Option<Mailing>> {
    let Some(waiting) = code::waiting(tx, id).await? else {
        return Ok(None);
    };
    let owner = recipient::owner_of(tx, &waiting.address.canonical).await?;
    let Some(owner) = owner.filter(|owner| owner.disabled_at.is_none()) else {
        return Ok(None);
    };
    let code = code::issue_code(tx, macs, Purpose::SignIn, id, Some(owner.user)).await?;
    if waiting.is_first {
        let origin = waiting.origin.by_user(owner.user, &owner.address);
        let entry = Entry::of_account(owner.user, Action::UserCodeRequested, Target::Email(owner.email));
        journal::record(tx, &origin, entry).await?;
    }
    Ok(Some(Mailing {
        to: owner.address,
        first_name: owner.first_name,
        code,
    }))
}

/// The answer to whatever is wrong with a code.
pub fn refused() -> Problem {
    Problem::new(
        ProblemCode::InvalidCredentials,
        "The code is wrong, used or too old, or was asked for elsewhere. After five tries ask for a new one.",
    )
}

/// A code that was right, and whose account it signs in to.
pub struct Proved {
    pub account: Account,
    met: Met,
}

/// Tries a code. Call it before the transaction of the sign-in is opened: the try is counted in one of its own.
///
/// # Errors
/// `invalid_credentials`.
pub async fn try_code(db: &Db, macs: &TokenMacKey, token: &str, code: &str) -> Result<Proved> {
    let met = code::try_code(db, macs, Purpose::SignIn, At::Token(token), code).await?;
    let met = met.ok_or_else(refused)?;
    let user = met.user.ok_or_else(refused)?;
    let account = account::get(db, user).await.map_err(|_| refused())?;
    if account.disabled_at.is_some() {
        return Err(refused().into());
    }
    Ok(Proved { account, met })
}

impl Proved {
    /// Uses the code up: of two sign-ins at once with one code, one succeeds. The code proves the address that it was
    /// mailed to. If nobody had proved it before, whatever was set up on the account without that proof ends.
    ///
    /// # Errors
    /// `invalid_credentials`.
    pub async fn finish(self, tx: &WriteTx) -> Result<Account> {
        let Self { account, met } = self;
        if !code::finish(tx, &met).await? {
            return Err(refused().into());
        }
        let canonical = met.address.ok_or_else(refused)?.canonical;
        let owner = recipient::owner_of(tx, &canonical).await?;
        let owner = owner.filter(|owner| owner.user == account.id).ok_or_else(refused)?;
        // With a second factor on, the code alone is no reason to touch anything.
        if owner.verified_at.is_some() || second_factor::is_on(tx, account.id).await? {
            return Ok(account);
        }
        claim::take_over(tx, account.id).await?;
        claim::prove(tx, owner.email).await?;
        account::get(tx, account.id).await
    }
}
