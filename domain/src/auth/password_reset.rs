//! Setting a new password by a mailed link. Asking for one does the same for every address.

use std::time::Duration;

use super::challenge::Purpose;
use super::challenge::code::{self, Begun};
use super::recipient;
use crate::access::Origin;
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::ChallengeId;
use crate::kernel::{Result, WriteTx, text};
use crate::mail::Template;

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
