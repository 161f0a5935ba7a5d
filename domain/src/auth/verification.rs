//! Proving that an address belongs to its account. The link's token is made by the worker when it sends the mail and
//! stored as a keyed hash: neither the queue nor the mail table ever holds one.

use std::time::Duration;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::account;
use super::challenge::{self, Purpose, Subject, code};
use super::entity::email;
use crate::access::{Caller, Origin};
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{EmailId, UserId};
use crate::kernel::{Problem, Reads, Result, Secret, WriteTx};
use crate::mail::{self, NewMail, Template, To};

/// How long a verification link works.
const LINK_TTL: Duration = Duration::from_hours(24);

/// Queues the verification mail of an address.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn send(tx: &WriteTx, user: UserId, email: EmailId) -> Result<()> {
    mail::queue(tx, NewMail::new(Template::VerifyEmail, To::Email { user, email })).await
}

/// Queues another verification mail for the caller's primary address.
///
/// # Errors
/// `conflict` when the address is verified already.
pub async fn send_again(tx: &WriteTx, caller: &Caller) -> Result<()> {
    let user = caller.session_user()?;
    let row = email::Entity::find()
        .filter(email::Column::UserId.eq(user))
        .filter(email::Column::IsPrimary.eq(true))
        .one(tx.conn())
        .await?
        .ok_or_else(Problem::not_found)?;
    if row.verified_at.is_some() {
        return Err(Problem::new(crate::kernel::ProblemCode::Conflict, "The address is verified already.").into());
    }
    send(tx, user, row.id).await?;
    journal::record(
        tx,
        &caller.origin,
        Entry::of_account(user, Action::UserVerificationRequested, Target::User(user)),
    )
    .await?;
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
/// `invalid_field` for a link that is unknown, used, replaced or too old: the four are not told apart.
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
    let sql = "UPDATE user_emails SET verified_at = $2 WHERE id = $1 AND verified_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [email.into(), tx.now().into()]))
        .await?;
    let account = account::get(tx, user).await?;
    let origin = origin.clone().by_user(user, &account.email);
    journal::record(
        tx,
        &origin,
        Entry::of_account(user, Action::UserEmailVerified, Target::User(user)),
    )
    .await?;
    Ok(())
}
