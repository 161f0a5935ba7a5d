//! Renewing a client's tokens. Each refresh token is good for one trade; one that is traded twice was stolen, unless the
//! answer to the first trade was lost.

use super::exchange::Exchanged;
use super::grant::{self, Grant};
use super::refusal::{Outcome, Refusal, RefusalCode};
use super::tokens::goes_on;
use super::{Client, Minter, Scopes};
use crate::access::Origin;
use crate::auth::account;
use crate::auth::oauth_token::{self, Stored};
use crate::auth::rotation::{Shown, Turn};
use crate::crypto::token::TokenKind;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::OAuthGrantId;
use crate::kernel::{Reads, WriteTx};
use crate::mail::{self, NewMail, Template, To};

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
    let account = account::get(tx, grant.user).await?;
    let origin = origin.clone().by_user(account.id, &account.email);
    let shown = Shown {
        id: stored.id,
        text,
        replaced_by: stored.replaced_by,
    };
    let macs = minter.keys.token_mac();
    // Before the scopes are looked at: a thief is one whatever is asked for.
    let (next, is_again) = match shown.turn(tx, macs, TokenKind::ClientRefresh).await? {
        Turn::First(next) => (next, false),
        Turn::Again(next) => (next, true),
        Turn::Reuse => return end(tx, &grant, client, &origin).await,
    };
    let scopes = match scope {
        None => grant.scopes.clone(),
        Some(text) => Scopes::parse(text)?,
    };
    if scopes.to_list().is_empty() || !scopes.are_within(&grant.scopes) {
        let detail = "A refresh token is good for no more than was agreed to.";
        return Err(Refusal::new(RefusalCode::InvalidScope, detail).into());
    }
    let mut entry = Entry::of_account(grant.user, Action::OAuthTokensRefreshed, Target::OAuthGrant(grant.id))
        .with("client_id", client.client_id());
    if is_again {
        entry = entry.with("again", true);
    } else {
        let id = minter.refresh(tx, client, &grant, &next, &origin).await?;
        shown.replaced(tx, id).await?;
    }
    // OpenID Connect Core §12.2: the nonce was of the sign-in.
    let grant = Grant { nonce: None, ..grant };
    let issued = minter.of_grant(tx, client, &grant, &scopes, Some(next), &origin);
    let issued = issued.await?;
    journal::record(tx, &origin, entry).await?;
    Ok(Exchanged::Tokens(Box::new(issued)))
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
    let grant = grant::hold(tx, id).await?.ok_or_else(refused)?;
    let stored = oauth_token::find_refresh(tx, macs, text).await?.ok_or_else(refused)?;
    if stored.is_over(tx.now()) || !goes_on(client, &grant) {
        return Err(refused().into());
    }
    Ok((stored, grant))
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
