//! Renewing a client's tokens. Each refresh token is good for one trade; one that is traded twice was stolen, unless the
//! answer to the first trade was lost.

use std::time::Duration;

use super::exchange::Exchanged;
use super::grant::{self, Grant};
use super::refusal::{Outcome, Refusal, RefusalCode};
use super::{Client, Minter, Scopes};
use crate::access::Origin;
use crate::auth::account::{self, Standing};
use crate::auth::oauth_token::{self, Stored};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{CredentialId, OAuthGrantId};
use crate::kernel::{ProblemCode, Reads, Result, WriteTx};
use crate::mail::{self, NewMail, Template, To};

/// A client whose answer was lost may use its refresh token once more within this time.
const LOST_ANSWER: Duration = Duration::from_secs(30);

fn refused() -> Refusal {
    Refusal::grant("The refresh token is unknown, expired or revoked, or another client's.")
}

/// Trades a refresh token for new tokens. A client may ask for less than it has; what it is given next time is as before.
///
/// # Errors
/// `invalid_grant`, `invalid_scope`.
pub(super) async fn trade(
    tx: &WriteTx,
    minter: &Minter<'_>,
    client: &Client,
    text: &str,
    scope: Option<&str>,
    origin: &Origin,
) -> Outcome<Exchanged> {
    let (stored, grant) = locked(tx, minter, client, text).await?;
    let scopes = match scope {
        None => grant.scopes.clone(),
        Some(text) => Scopes::parse(text)?,
    };
    if scopes.to_list().is_empty() || !scopes.are_within(&grant.scopes) {
        let detail = "A refresh token is good for no more than was agreed to.";
        return Err(Refusal::new(RefusalCode::InvalidScope, detail).into());
    }
    let account = account::get(tx, grant.user).await?;
    let origin = origin.clone().by_user(account.id, &account.email);
    if let Some(successor) = stored.replaced_by {
        if !answer_was_lost(tx, successor).await? {
            return end(tx, &grant, client, &origin).await;
        }
        oauth_token::revoke(tx, successor).await?;
    }
    let made = minter.of_grant(tx, client, &grant, &scopes, &origin).await?;
    let next = made.refresh.ok_or_else(refused)?;
    oauth_token::replaced(tx, stored.id, next).await?;
    let entry = Entry::of_account(grant.user, Action::OAuthTokensRefreshed, Target::OAuthGrant(grant.id))
        .with("client_id", client.client_id());
    journal::record(tx, &origin, entry).await?;
    Ok(Exchanged::Tokens(Box::new(made.issued)))
}

/// A refresh token of this client with its consent, both in force. The account is locked: of two that trade one token at
/// once, the second sees what the first did.
async fn locked(tx: &WriteTx, minter: &Minter<'_>, client: &Client, text: &str) -> Outcome<(Stored, Grant)> {
    let macs = minter.keys.token_mac();
    let found = oauth_token::find_refresh(tx, macs, text).await?;
    let found = found
        .filter(|stored| stored.name == client.client_id())
        .ok_or_else(refused)?;
    let id = OAuthGrantId(found.family_id.ok_or_else(refused)?);
    let grant = grant::find(tx, id).await?.ok_or_else(refused)?;
    let standing = standing(tx, &grant).await?.ok_or_else(refused)?;
    let stored = oauth_token::find_refresh(tx, macs, text).await?.ok_or_else(refused)?;
    let grant = grant::find(tx, id).await?.ok_or_else(refused)?;
    if stored.is_over(tx.now()) || !grant.is_live(tx.now()) || standing.disabled_at.is_some() {
        return Err(refused().into());
    }
    Ok((stored, grant))
}

/// Locks the account of a consent; `None` when it is gone.
pub(super) async fn standing(tx: &WriteTx, grant: &Grant) -> Result<Option<Standing>> {
    match account::lock(tx, grant.user).await {
        Err(error) if error.code() == Some(ProblemCode::NotFound) => Ok(None),
        standing => standing.map(Some),
    }
}

async fn answer_was_lost(tx: &WriteTx, successor: CredentialId) -> Result<bool> {
    let successor = oauth_token::find(tx, successor).await?;
    Ok(successor.is_some_and(|next| {
        next.last_used_at.is_none() && next.revoked_at.is_none() && tx.now().since(next.created_at) <= LOST_ANSWER
    }))
}

/// Ends a consent whose code or refresh token has come twice, and tells its person.
pub(super) async fn end(tx: &WriteTx, grant: &Grant, client: &Client, origin: &Origin) -> Outcome<Exchanged> {
    grant::end(tx, grant.id).await?;
    let unknown = || "unknown".to_owned();
    let mail = NewMail::new(Template::SessionReused, To::Primary(grant.user))
        .with("ip", origin.ip.clone().unwrap_or_else(unknown))
        .with("user_agent", client.name.clone())
        .with("at", tx.now().to_string());
    mail::queue(tx, mail).await?;
    let entry = Entry::of_account(grant.user, Action::OAuthReuseDetected, Target::OAuthGrant(grant.id))
        .with("client_id", client.client_id());
    journal::record(tx, origin, entry).await?;
    Ok(Exchanged::Ended(Refusal::grant(
        "It was used before, so everything that came of it was ended. Ask the person again.",
    )))
}
