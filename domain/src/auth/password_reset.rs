//! Setting a new password by a mailed link. Asking for one does the same for every address.

use std::time::Duration;

use sea_orm::ConnectionTrait;

use super::account::{self, Account};
use super::challenge::code::{self, Begun};
use super::challenge::{self, Purpose};
use super::{claim, recipient, sessions};
use crate::access::Origin;
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{ChallengeId, UserId};
use crate::kernel::{Error, Problem, Reads, Result, WriteTx, text};
use crate::mail::{self, NewMail, Template, To};

/// How long a link works.
const LINK_TTL: Duration = Duration::from_hours(1);

/// Queues the mail that resets the password of whoever has the address.
///
/// # Errors
/// `invalid_field` for what is no address.
pub async fn begin(tx: &WriteTx, macs: &TokenMacKey, address: &str, origin: &Origin) -> Result<Begun> {
    let address = text::email("email", address)?;
    let template = Template::ResetPassword;
    code::begin(tx, macs, Purpose::ResetPassword, template, &address, LINK_TTL, origin).await
}

/// The mail that brings a link.
pub struct Mailing {
    pub to: String,
    pub first_name: String,
    pub token: Token,
}

/// Makes the link, for the worker, as it sends the mail, and journals that one was asked for. `None` when the challenge
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
    let token = code::issue_link(tx, macs, Purpose::ResetPassword, id, owner.user).await?;
    if waiting.is_first {
        let origin = waiting.origin.by_user(owner.user, &owner.address);
        let entry = Entry::of_account(
            owner.user,
            Action::UserPasswordResetRequested,
            Target::Email(owner.email),
        );
        journal::record(tx, &origin, entry).await?;
    }
    Ok(Some(Mailing {
        to: owner.address,
        first_name: owner.first_name,
        token,
    }))
}

fn over() -> Error {
    Problem::field(
        "token",
        "invalid",
        "the link is unknown, used or too old; ask for a new one",
    )
    .into()
}

/// The account that a link is for; it stays good.
///
/// # Errors
/// `invalid_field`.
pub async fn account(from: &impl Reads, macs: &TokenMacKey, token: &str) -> Result<Account> {
    let row = challenge::peek(from, macs, Purpose::ResetPassword, token).await?;
    let user = row.and_then(|row| row.user_id).ok_or_else(over)?;
    let account = account::get(from, user).await.map_err(|_| over())?;
    if account.disabled_at.is_some() {
        return Err(over());
    }
    Ok(account)
}

/// Sets a new password. Every session ends, and none is opened: with a second factor on, the link alone opens nothing.
/// The link proves the address that it was mailed to.
///
/// # Errors
/// `invalid_field` for a link that was used meanwhile.
pub async fn reset(
    tx: &WriteTx,
    macs: &TokenMacKey,
    token: &str,
    password_hash: String,
    origin: &Origin,
) -> Result<()> {
    let link = challenge::use_up(tx, macs, Purpose::ResetPassword, token).await?;
    let link = link.ok_or_else(over)?;
    let (Some(user), Some(canonical)) = (link.user_id, link.email) else {
        return Err(over());
    };
    account::lock(tx, user).await?;
    let account = account::get(tx, user).await?;
    // The address may have moved to another account since the link was made.
    let owner = recipient::owner_of(tx, &canonical).await?;
    let owner = owner.filter(|owner| owner.user == user).ok_or_else(over)?;
    if owner.verified_at.is_none() {
        claim::take_over(tx, user).await?;
        claim::prove(tx, owner.email).await?;
    }
    set(tx, user, password_hash).await?;
    sessions::end_all(tx, user).await?;
    mail::queue(tx, NewMail::new(Template::PasswordChanged, To::Primary(user))).await?;
    let origin = origin.clone().by_user(user, &account.email);
    let entry = Entry::of_account(user, Action::UserPasswordReset, Target::User(user));
    journal::record(tx, &origin, entry).await?;
    Ok(())
}

async fn set(tx: &WriteTx, user: UserId, password_hash: String) -> Result<()> {
    let sql = "UPDATE users SET password_hash = $2, auth_epoch = auth_epoch + 1, updated_at = $3 WHERE id = $1";
    let values = [user.into(), password_hash.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}
