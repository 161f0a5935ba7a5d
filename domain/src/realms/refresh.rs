//! Renewing the tokens of a user. Each refresh token is good for one trade; one that is traded twice was stolen, unless
//! the answer to the first trade was lost.

use super::realm::Realm;
use super::tokens::{Given, SignIn, of_sign_in};
use super::user::{self, Standing};
use crate::access::Origin;
use crate::auth::realm_token::{self, Holder, Stored};
use crate::auth::rotation::{Shown, Turn};
use crate::crypto::token::TokenKind;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::SessionId;
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx};
use crate::oauth::Minter;

fn refused() -> Error {
    let detail = "The refresh token is unknown, expired or revoked. Sign in again.";
    Problem::new(ProblemCode::Unauthenticated, detail).into()
}

/// Trades a refresh token for new tokens. The sign-in ends when it would have ended.
///
/// # Errors
/// `unauthenticated` for a token that is no live refresh token of this realm.
pub(super) async fn trade(
    tx: &WriteTx,
    minter: &Minter<'_>,
    realm: &Realm,
    text: &str,
    origin: &Origin,
) -> Result<Given> {
    let (stored, user) = locked(tx, minter, realm, text).await?;
    let family = stored.family.ok_or_else(refused)?;
    let origin = origin.clone().by_realm_user(user.id, &user.address);
    let entry = |action| {
        Entry::in_org(realm.id, action, Target::RealmUser(user.id)).with("session_id", SessionId(family).to_string())
    };
    let shown = Shown {
        id: stored.id,
        text,
        replaced_by: stored.replaced_by,
    };
    let macs = minter.keys.token_mac();
    let (next, is_again) = match shown.turn(tx, macs, TokenKind::RealmRefresh).await? {
        Turn::First(next) => (next, false),
        Turn::Again(next) => (next, true),
        Turn::Reuse => {
            realm_token::revoke_family(tx, family).await?;
            journal::record(tx, &origin, entry(Action::RealmReuseDetected)).await?;
            return Ok(Given::ReuseDetected);
        }
    };
    let sign_in = SignIn {
        user: user.id,
        family,
        auth_time: stored.auth_time,
        ends_at: stored.ends_at,
    };
    let mut entry = entry(Action::RealmTokensRefreshed);
    if is_again {
        entry = entry.with("again", true);
    } else {
        let id = sign_in.keep(tx, minter, realm, &next, &origin).await?;
        shown.replaced(tx, id).await?;
    }
    let tokens = of_sign_in(tx, minter, realm, &sign_in, next, &origin).await?;
    journal::record(tx, &origin, entry).await?;
    Ok(Given::Tokens(tokens))
}

/// A live refresh token of this realm and its user, who is locked: of two that trade one token at once, the second sees
/// what the first did.
async fn locked(tx: &WriteTx, minter: &Minter<'_>, realm: &Realm, text: &str) -> Result<(Stored, Standing)> {
    let macs = minter.keys.token_mac();
    let found = realm_token::find_refresh(tx, macs, text).await?;
    let found = found.filter(|stored| stored.org == realm.id).ok_or_else(refused)?;
    let Holder::User(id) = found.holder else {
        return Err(refused());
    };
    let user = user::lock(tx, realm.id, id).await?.ok_or_else(refused)?;
    let stored = realm_token::find_refresh(tx, macs, text).await?.ok_or_else(refused)?;
    if stored.is_over(tx.now()) || user.disabled_at.is_some() {
        return Err(refused());
    }
    Ok((stored, user))
}
