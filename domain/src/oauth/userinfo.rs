//! What a client may know of a person: as much as the person agreed to.

use serde_json::{Map, Value};

use super::Scopes;
use super::grant;
use super::refusal::{Outcome, Refusal, RefusalCode};
use super::scopes::Word;
use crate::auth::account::{self, Account};
use crate::auth::oauth_token;
use crate::kernel::id::{CredentialId, OAuthGrantId};
use crate::kernel::{Db, ProblemCode, Reads};
use crate::signing::{self, Expectation, Typ};

/// The claims about a person that some scopes are good for.
pub(super) fn claims(account: &Account, scopes: &Scopes) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), account.id.to_string().into());
    if scopes.has(Word::Profile) {
        let name = format!("{} {}", account.first_name, account.last_name);
        let texts = [
            ("name", name.trim()),
            ("given_name", account.first_name.as_str()),
            ("family_name", account.last_name.as_str()),
            ("preferred_username", account.username.as_deref().unwrap_or_default()),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            claims.insert(name.to_owned(), text.into());
        }
    }
    if scopes.has(Word::Email) {
        claims.insert("email".to_owned(), account.email.clone().into());
        claims.insert("email_verified".to_owned(), account.email_verified_at.is_some().into());
    }
    claims
}

fn refused() -> Refusal {
    Refusal::new(
        RefusalCode::InvalidToken,
        "The access token is unknown, expired or revoked.",
    )
}

/// What the holder of an access token may know of its person.
///
/// # Errors
/// `invalid_token`; `insufficient_scope` for a token without `openid`.
pub async fn of_token(db: &Db, issuer: &str, text: &str) -> Outcome<Map<String, Value>> {
    let expected = Expectation {
        iss: issuer,
        aud: issuer,
        typ: Typ::AccessToken,
    };
    let claimed = signing::verify(db, text, &expected).await?.ok_or_else(refused)?;
    let id: Option<CredentialId> = claimed.text("jti").and_then(|id| id.parse().ok());
    let stored = oauth_token::find(db, id.ok_or_else(refused)?)
        .await?
        .ok_or_else(refused)?;
    if stored.is_over(db.now()) {
        return Err(refused().into());
    }
    let family = stored.family_id.ok_or_else(refused)?;
    let grant = grant::find(db, OAuthGrantId(family)).await?.ok_or_else(refused)?;
    if !grant.is_live(db.now()) {
        return Err(refused().into());
    }
    let scopes = claimed
        .text("scope")
        .and_then(Scopes::from_stored)
        .ok_or_else(refused)?;
    if !scopes.has(Word::OpenId) {
        let detail = "The access token was given without the scope openid.";
        return Err(Refusal::new(RefusalCode::InsufficientScope, detail).into());
    }
    let account = match account::get(db, grant.user).await {
        Err(error) if error.code() == Some(ProblemCode::NotFound) => return Err(refused().into()),
        account => account?,
    };
    if account.disabled_at.is_some() {
        return Err(refused().into());
    }
    Ok(claims(&account, &scopes))
}
