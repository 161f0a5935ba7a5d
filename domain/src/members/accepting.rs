//! Accepting an invitation. Who may, and by which token:
//!
//! | | token of the mail | token that was shown | open link |
//! |---|---|---|---|
//! | signed in, the address is verified | joins | joins | any verified address: joins |
//! | signed in, the address is claimed | is verified, joins | verifies first | verifies an address first |
//! | signed in with another address | refused | refused | |
//! | not signed in, the address has an account | signs in first | signs in first | |
//! | not signed in, there is no account | makes it, verified, and joins | makes one first | makes one first |
//!
//! A use is taken by one conditional statement with the organisation's row held, so of a hundred who come at once as many
//! get in as may. A refusal takes none.

use sea_orm::ConnectionTrait;

use super::assignment::Assignment;
use super::invite::{Invite, InviteStatus};
use super::invite_token::{self, Proof};
use super::{inviting, membership, ownership};
use crate::access::{Caller, Ceiling, Origin, Principal};
use crate::auth::register::{self, NewAccount, Registered, Registration};
use crate::auth::session::Transport;
use crate::auth::{recipient, verification, verified_address};
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::TokenMacKey;
use crate::journal::{self, Action};
use crate::kernel::id::{EmailId, RealmUserId, UserId};
use crate::kernel::text::Email;
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx};
use crate::limits::{self, LimitKey};
use crate::realms::invitation;

/// An invitation as whoever holds its token sees it.
pub struct Shown {
    pub invite: Invite,
    pub is_expired: bool,
    /// Whether the invited address has an account; `None` for an open link.
    pub account_exists: Option<bool>,
}

/// Shows an invitation, however it stands. One that nobody who may invite stands behind any more counts as revoked.
///
/// # Errors
/// `not_found` for a token that is unknown or was replaced, and where organisation or project is gone.
pub async fn show(from: &impl Reads, macs: &TokenMacKey, token: &str) -> Result<Shown> {
    let found = invite_token::find(from, macs, token).await?;
    let (mut invite, _) = found.ok_or_else(Problem::not_found)?;
    if invite.status == InviteStatus::Pending && invite.gives_now(from).await?.is_none() {
        invite.status = InviteStatus::Revoked;
    }
    let account_exists = match &invite.canonical {
        None => None,
        Some(canonical) if invite.for_realm => Some(invitation::is_user(from, invite.org.id, canonical).await?),
        Some(canonical) => Some(recipient::owner_of(from, canonical).await?.is_some()),
    };
    Ok(Shown {
        is_expired: invite.expires_at <= from.now(),
        invite,
        account_exists,
    })
}

/// The invitation of a token, with the organisation's row taken: nobody else comes or goes meanwhile.
async fn taken(tx: &WriteTx, macs: &TokenMacKey, token: &str) -> Result<(Invite, Proof)> {
    let found = invite_token::find(tx, macs, token).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    if !ownership::lock(tx, found.0.org.id).await? {
        return Ok(found);
    }
    let again = invite_token::find(tx, macs, token).await?;
    Ok(again.ok_or_else(Problem::not_found)?)
}

fn problem(code: ProblemCode, detail: &'static str) -> Error {
    Problem::new(code, detail).into()
}

/// Accepts for the signed-in person.
///
/// # Errors
/// `not_found`; `forbidden` for a service account and for somebody else's address; `insufficient_scope` for a token that
/// was narrowed; `email_unverified`; `email_taken` when another account proved the address first; `already_member`;
/// `invite_unusable`.
pub async fn accept(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller, token: &str) -> Result<Invite> {
    let (invite, proof) = taken(tx, macs, token).await?;
    let user = caller.user()?;
    if caller.actor.ceiling != Ceiling::default() {
        let detail = "A token that was narrowed cannot accept an invitation. Sign in, or use a token that was not.";
        return Err(problem(ProblemCode::InsufficientScope, detail));
    }
    let claimed = claimed_address(tx, user, &invite, proof).await?;
    let held = membership::held(tx, invite.org.id, Principal::User(user)).await?;
    if held.iter().any(|held| held.at == invite.scope().project) {
        return Err(problem(ProblemCode::AlreadyMember, "You are a member already."));
    }
    let given = open(tx, &invite).await?;
    if let Some(email) = claimed {
        verification::prove(tx, user, email, &caller.origin).await?;
    }
    enter(tx, &caller.origin, &invite, &given, user).await?;
    Ok(invite)
}

/// Asks that the invitation is the person's own. Returns the address that accepting verifies.
async fn claimed_address(from: &impl Reads, user: UserId, invite: &Invite, proof: Proof) -> Result<Option<EmailId>> {
    let unverified = |detail| Err(problem(ProblemCode::EmailUnverified, detail));
    let Some(canonical) = &invite.canonical else {
        if verified_address::has_any(from, user).await? {
            return Ok(None);
        }
        return unverified("Verify an address of your account, then accept again.");
    };
    match (verified_address::own(from, user, canonical).await?, proof) {
        (Some(own), Proof::Mailed | Proof::Shown) if own.verified_at.is_some() => Ok(None),
        (Some(own), Proof::Mailed) => Ok(Some(own.id)),
        (Some(_), Proof::Shown) => {
            unverified("The address that was invited is not verified. Verify it, or open the link in the mail.")
        }
        (None, Proof::Mailed | Proof::Shown) => {
            let detail =
                "The invitation is for another address. Sign in with the account that has it, or add it to yours.";
            Err(Problem::forbidden(detail).into())
        }
    }
}

/// What an invitation to become a member gives, if it can be accepted.
async fn open(from: &impl Reads, invite: &Invite) -> Result<Assignment> {
    if invite.for_realm {
        return Err(Problem::not_found().into());
    }
    usable(from, invite).await
}

/// What an invitation gives, if it can be accepted.
async fn usable(from: &impl Reads, invite: &Invite) -> Result<Assignment> {
    let unusable = |detail| problem(ProblemCode::InviteUnusable, detail);
    match invite.status {
        InviteStatus::Pending => {}
        InviteStatus::Accepted => return Err(unusable("The invitation is used up. Ask for a new one.")),
        InviteStatus::Expired => return Err(unusable("The invitation is too old. Ask for a new one.")),
        InviteStatus::Revoked => return Err(unusable("The invitation was revoked. Ask for a new one.")),
    }
    let gives = invite.gives_now(from).await?;
    gives.ok_or_else(|| unusable("Whoever invited you may no longer give this. Ask for a new invitation."))
}

/// Takes a use.
async fn take(tx: &WriteTx, invite: &Invite) -> Result<()> {
    let sql = "UPDATE invites SET uses = uses + 1
        WHERE id = $1 AND token_mac = $2 AND uses < max_uses AND revoked_at IS NULL AND expires_at > $3";
    let values = [invite.id.into(), invite.token_mac.clone().into(), tx.now().into()];
    let taken = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    if taken.rows_affected() != 1 {
        let detail = "The invitation was taken up or taken back meanwhile.";
        return Err(problem(ProblemCode::InviteUnusable, detail));
    }
    Ok(())
}

/// Takes a use and gives the role.
async fn enter(tx: &WriteTx, origin: &Origin, invite: &Invite, given: &Assignment, user: UserId) -> Result<()> {
    // The seat of an invitation to an address passes to whoever accepts; an open link takes one for each.
    let seats = limits::hold(tx, invite.org.id, LimitKey::Members).await?;
    take(tx, invite).await?;
    let (who, by) = (Principal::User(user), Principal::User(invite.invited_by));
    membership::put(tx, invite.scope(), who, given, by).await?;
    seats.settle(tx).await?;
    let entry = inviting::entry(invite, Action::InviteAccepted).with("user_id", user.to_string());
    journal::record(tx, origin, entry).await?;
    Ok(())
}

/// An invitation into a realm that can be accepted; `None` when the token is of another, or of none.
///
/// # Errors
/// `invite_unusable`.
pub async fn into_realm(from: &impl Reads, macs: &TokenMacKey, token: &str) -> Result<Option<Invite>> {
    let found = invite_token::find(from, macs, token).await?;
    let Some((invite, _)) = found.filter(|(invite, _)| invite.for_realm) else {
        return Ok(None);
    };
    usable(from, &invite).await?;
    Ok(Some(invite))
}

/// Takes a use of an invitation into a realm. Which of its tokens it was makes no difference: whoever invites could as well
/// make the user. The caller makes it, and then calls [`entered_realm`].
///
/// # Errors
/// `not_found`; `invite_unusable`.
pub async fn take_into_realm(tx: &WriteTx, macs: &TokenMacKey, token: &str) -> Result<(Invite, Assignment)> {
    let (invite, _) = taken(tx, macs, token).await?;
    if !invite.for_realm {
        return Err(Problem::not_found().into());
    }
    let given = usable(tx, &invite).await?;
    take(tx, &invite).await?;
    Ok((invite, given))
}

/// Journals that somebody has come into a realm.
///
/// # Errors
/// [`Error::Db`].
pub async fn entered_realm(tx: &WriteTx, origin: &Origin, invite: &Invite, user: RealmUserId) -> Result<()> {
    let entry = inviting::entry(invite, Action::InviteAccepted).with("user_id", user.to_string());
    journal::record(tx, origin, entry).await?;
    Ok(())
}

/// The address of somebody who can accept by making an account: looked at before anything is hashed.
///
/// # Errors
/// `not_found`; `invite_unusable`; `unauthenticated` for whoever must sign in first.
pub async fn newcomer(from: &impl Reads, macs: &TokenMacKey, token: &str) -> Result<String> {
    let found = invite_token::find(from, macs, token).await?;
    let (invite, proof) = found.ok_or_else(Problem::not_found)?;
    open(from, &invite).await?;
    let sign_in = |detail| problem(ProblemCode::Unauthenticated, detail);
    let (Some(canonical), Some(address)) = (invite.canonical, invite.email) else {
        let detail = "Sign in to accept, with an account that has a verified address. To make one, register with this token \
                      as `invite_token`.";
        return Err(sign_in(detail));
    };
    if recipient::owner_of(from, &canonical).await?.is_some() {
        return Err(sign_in(
            "There is an account of the invited address. Sign in to accept.",
        ));
    }
    match proof {
        Proof::Mailed => Ok(address),
        Proof::Shown => Err(sign_in(
            "Open the link in the mail to make an account, or sign in with an account that has the invited address.",
        )),
    }
}

/// What the token of an invitation proves for a registration with this address.
///
/// # Errors
/// `invalid_field` naming `invite_token` or `email`; `invite_unusable`.
pub async fn for_registration(from: &impl Reads, macs: &TokenMacKey, token: &str, email: &Email) -> Result<Proof> {
    let found = invite_token::find(from, macs, token).await?;
    let unknown = || {
        Problem::field(
            "invite_token",
            "invalid",
            "is unknown or was replaced; ask for a new invitation",
        )
    };
    let (invite, proof) = found.ok_or_else(unknown)?;
    open(from, &invite).await?;
    match invite.canonical {
        Some(canonical) if canonical != email.canonical => {
            Err(Problem::field("email", "conflict", "must be the address that was invited").into())
        }
        Some(_) | None => Ok(proof),
    }
}

/// Accepts by making an account, its address verified by the token of the mail, and signs it in.
///
/// # Errors
/// `not_found` for a token that was replaced meanwhile; `invite_unusable`; `email_taken`.
pub async fn accept_with_new_account(
    tx: &WriteTx,
    keys: &KeyStore,
    token: &str,
    registration: Registration,
    password_hash: String,
    transport: Transport,
    origin: &Origin,
) -> Result<(Registered, Invite)> {
    let (invite, proof) = taken(tx, keys.token_mac(), token).await?;
    let Registration {
        email,
        first_name,
        last_name,
    } = registration;
    if proof != Proof::Mailed || invite.canonical.as_ref() != Some(&email.canonical) {
        return Err(Problem::not_found().into());
    }
    let given = open(tx, &invite).await?;
    let new = NewAccount {
        email,
        verified: true,
        first_name,
        last_name,
        password_hash: Some(password_hash),
    };
    let (account, _, org) = register::create_account(tx, keys, new).await?;
    let by = origin.clone().by_user(account.id, &account.email);
    enter(tx, &by, &invite, &given, account.id).await?;
    let registered = register::begin_first_session(tx, keys, account, org, transport, origin).await?;
    Ok((registered, invite))
}
