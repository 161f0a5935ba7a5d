//! Proving that an address belongs to its account, by a link or a code. Both are made by the worker when it sends the
//! mail and stored as keyed hashes: neither the queue nor the mail table ever holds one.

use std::time::Duration;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::challenge::{self, Purpose, Subject, code};
use super::entity::email;
use super::{account, claim, mail_limit};
use crate::access::{Caller, Origin};
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{EmailId, UserId};
use crate::kernel::{Problem, ProblemCode, Reads, Result, Secret, WriteTx};
use crate::mail::{self, NewMail, Template, To};

/// How long a verification link works.
const LINK_TTL: Duration = Duration::from_hours(24);

/// Queues the verification mail of an address of an account. Beyond three mails to the address none goes out until an
/// hour after the third. `canonical` is the address in its canonical form.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn send(tx: &WriteTx, macs: &TokenMacKey, user: UserId, email: EmailId, canonical: &str) -> Result<()> {
    if !mail_limit::admits(tx, macs, canonical).await? {
        return Ok(());
    }
    mail::queue(tx, NewMail::new(Template::VerifyEmail, To::Email { user, email })).await
}

/// Queues another verification mail for the caller's default address.
///
/// # Errors
/// `conflict` when the address is verified already.
pub async fn send_to_default(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller) -> Result<()> {
    let row = email::Entity::find()
        .filter(email::Column::UserId.eq(caller.session_user()?))
        .filter(email::Column::IsPrimary.eq(true))
        .one(tx.conn())
        .await?
        .ok_or_else(Problem::not_found)?;
    send_again(tx, macs, caller, &row).await
}

/// Queues another verification mail for an address of the caller's.
pub(super) async fn send_again(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller, row: &email::Model) -> Result<()> {
    if row.verified_at.is_some() {
        return Err(Problem::new(ProblemCode::Conflict, "The address is verified already.").into());
    }
    send(tx, macs, row.user_id, row.id, &row.canonical).await?;
    let entry = Entry::of_account(row.user_id, Action::UserVerificationRequested, Target::Email(row.id));
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// Makes the token of a link; older links of the address stop working. For the worker, as it sends the mail.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn issue_link(tx: &WriteTx, macs: &TokenMacKey, user: UserId, email: EmailId) -> Result<Token> {
    let subject = Subject {
        user: Some(user),
        email: Some(email),
    };
    challenge::issue(tx, macs, Purpose::VerifyEmail, subject, LINK_TTL).await
}

/// Makes the code that stands beside the link; older codes of the address stop working. For the worker, as it sends the
/// mail.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn issue_code(tx: &WriteTx, macs: &TokenMacKey, user: UserId, email: EmailId) -> Result<Secret<String>> {
    let subject = Subject {
        user: Some(user),
        email: Some(email),
    };
    code::issue_for(tx, macs, Purpose::VerifyEmailCode, subject, code::CODE_TTL).await
}

/// Verifies the address that the link was mailed to.
///
/// # Errors
/// `invalid_field` for a link that is unknown, used, replaced or too old: the four are not told apart. `email_taken`
/// when another account proved the address first.
pub async fn verify(tx: &WriteTx, macs: &TokenMacKey, text: &str, origin: &Origin) -> Result<()> {
    let refused = || {
        Problem::field(
            "token",
            "invalid",
            "the link is unknown, used or too old; ask for a new one",
        )
    };
    let subject = challenge::consume(tx, macs, Purpose::VerifyEmail, text).await?;
    let Some(Subject {
        user: Some(user),
        email: Some(email),
    }) = subject
    else {
        return Err(refused().into());
    };
    let account = account::get(tx, user).await?;
    prove(tx, user, email, &origin.clone().by_user(user, &account.email)).await
}

/// Verifies an address of an account whose person showed what was mailed there, and ends what others claim of it.
///
/// # Errors
/// `email_taken` when another account proved the address first.
pub async fn prove(tx: &WriteTx, user: UserId, email: EmailId, origin: &Origin) -> Result<()> {
    claim::prove(tx, email).await?;
    let entry = Entry::of_account(user, Action::UserEmailVerified, Target::Email(email));
    journal::record(tx, origin, entry).await?;
    Ok(())
}
