//! Coming into a realm by an invitation: whoever accepts becomes a user of it, and no account of this platform.

use super::realm;
use super::user::{self, RealmUser};
use super::{change, roles};
use crate::access::Origin;
use crate::crypto::password::{Passwords, check_strength};
use crate::crypto::token::TokenMacKey;
use crate::kernel::id::OrgId;
use crate::kernel::text::{self, Email, MAX_NAME_LEN};
use crate::kernel::{Db, Problem, Reads, Result, Secret, WriteTx};
use crate::members::accepting;
use crate::members::invite::Invite;

/// What whoever accepts says of themselves.
pub struct Newcomer {
    /// For an open link; else it is the address that was invited.
    pub email: Option<String>,
    pub password: Option<Secret<String>>,
    pub display_name: String,
}

/// A newcomer whose fields are good.
pub struct Accepted {
    email: Email,
    password_hash: String,
    display_name: String,
}

/// Checks a newcomer and hashes the password, which takes a while: call it before the transaction of [`accept`]. `None`
/// when the token is of no invitation into a realm.
///
/// # Errors
/// `invite_unusable`; `invalid_field` naming the field.
pub async fn check(
    db: &Db,
    macs: &TokenMacKey,
    passwords: &Passwords,
    token: &str,
    newcomer: Newcomer,
) -> Result<Option<Accepted>> {
    let Some(invite) = accepting::into_realm(db, macs, token).await? else {
        return Ok(None);
    };
    let Newcomer {
        email,
        password,
        display_name,
    } = newcomer;
    let email = address(&invite, email.as_deref())?;
    let display_name = text::short("first_name", display_name.trim(), MAX_NAME_LEN)?;
    let password = password.ok_or_else(|| Problem::field("password", "required", "must be given"))?;
    check_strength(&password, &[&email.canonical, &display_name])?;
    Ok(Some(Accepted {
        password_hash: passwords.hash(password).await?,
        email,
        display_name,
    }))
}

/// The address that was invited, or that whoever follows an open link says is theirs.
fn address(invite: &Invite, said: Option<&str>) -> Result<Email> {
    match (&invite.email, said) {
        (Some(invited), None) => text::email("email", invited),
        (None, Some(said)) => text::email("email", said),
        (Some(invited), Some(said)) => {
            let (invited, said) = (text::email("email", invited)?, text::email("email", said)?);
            if invited.canonical != said.canonical {
                return Err(Problem::field("email", "conflict", "must be the address that was invited").into());
            }
            Ok(invited)
        }
        (None, None) => Err(Problem::field("email", "required", "must be given for an open link").into()),
    }
}

/// Takes a use of the invitation and makes the user with its role.
///
/// # Errors
/// `not_found` for a token that was replaced meanwhile, and when the realm is off; `invite_unusable`; `email_taken`.
pub async fn accept(
    tx: &WriteTx,
    macs: &TokenMacKey,
    token: &str,
    accepted: Accepted,
    origin: &Origin,
) -> Result<(RealmUser, Invite)> {
    let (invite, given) = accepting::take_into_realm(tx, macs, token).await?;
    let org: OrgId = invite.org.id;
    if realm::find(tx, org).await?.is_none() {
        return Err(Problem::not_found().into());
    }
    let Accepted {
        email,
        password_hash,
        display_name,
    } = accepted;
    if invite
        .canonical
        .as_ref()
        .is_some_and(|invited| *invited != email.canonical)
    {
        return Err(Problem::not_found().into());
    }
    let nothing = "{}".to_owned();
    let user = change::insert(tx, org, &email, &display_name, Some(password_hash), nothing).await?;
    roles::put(tx, user, given.role.id, invite.invited_by.0).await?;
    accepting::entered_realm(tx, origin, &invite, user).await?;
    Ok((user::load(tx, org, user).await?, invite))
}

/// Whether a user of the realm has this address.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn is_user(from: &impl Reads, org: OrgId, canonical: &str) -> Result<bool> {
    Ok(user::by_address(from, org, canonical).await?.is_some())
}
