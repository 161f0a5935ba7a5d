//! A client gives tokens up (RFC 7009). One that is none, or another client's, is answered like one that was ended.

use super::grant;
use super::party::Party;
use crate::access::Origin;
use crate::auth::oauth_token::{self, Stored};
use crate::crypto::token::TokenMacKey;
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{CredentialId, OAuthGrantId, ServiceAccountId, UserId};
use crate::kernel::{Reads, Result, WriteTx};
use crate::signing::{self, Expectation, Typ};

/// A token that this instance made, refresh or access, whatever has become of it; `None` for anything else.
pub(super) async fn find(
    from: &impl Reads,
    macs: &TokenMacKey,
    issuer: &str,
    text: &str,
) -> Result<Option<(Stored, Option<signing::Claims>)>> {
    if let Some(stored) = oauth_token::find_refresh(from, macs, text).await? {
        return Ok(Some((stored, None)));
    }
    let expected = Expectation {
        iss: issuer,
        aud: issuer,
        typ: Typ::AccessToken,
    };
    let Some(claims) = signing::verify(from, text, &expected).await? else {
        return Ok(None);
    };
    let id: Option<CredentialId> = claims.text("jti").and_then(|id| id.parse().ok());
    let stored = match id {
        Some(id) => oauth_token::find(from, id).await?,
        None => None,
    };
    Ok(stored.map(|stored| (stored, Some(claims))))
}

/// Ends a token of the party's. With a refresh token all that came of the same consent ends; with an access token it
/// alone. Tells whether there was something to end: that is journaled.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn revoke(
    tx: &WriteTx,
    macs: &TokenMacKey,
    issuer: &str,
    party: &Party,
    text: &str,
    origin: &Origin,
) -> Result<bool> {
    let found = find(tx, macs, issuer, text).await?;
    let Some((stored, claims)) = found.filter(|(stored, _)| stored.name == party.client_id()) else {
        return Ok(false);
    };
    if stored.is_over(tx.now()) {
        return Ok(false);
    }
    // Of a service account's token the family is the key that it was traded for, which goes on.
    let is_of_person = stored.principal_type == "user";
    let consent = stored.family_id.map(OAuthGrantId).filter(|_| is_of_person);
    match (claims, consent) {
        (None, Some(id)) => {
            // Held, so that no trade that is under way makes another token of it.
            let Some(grant) = grant::hold(tx, id).await? else {
                return Ok(false);
            };
            grant::end(tx, grant.id).await?;
        }
        (Some(_), _) | (None, None) => oauth_token::revoke(tx, stored.id).await?,
    }
    let entry = entry(&stored, consent, party).with("client_id", party.client_id());
    journal::record(tx, origin, entry).await?;
    Ok(true)
}

fn entry(stored: &Stored, consent: Option<OAuthGrantId>, party: &Party) -> Entry {
    let id = stored.principal_id;
    let target = consent.map_or(Target::Token(stored.id.0), Target::OAuthGrant);
    match (stored.principal_type.as_str(), stored.org_id, party) {
        ("service_account", Some(org), _) => {
            Entry::in_org(org, Action::OAuthRevoked, Target::ServiceAccount(ServiceAccountId(id)))
        }
        ("oauth_client", _, Party::Client(client)) => {
            let owner = client.owner.unwrap_or(UserId(id));
            Entry::of_account(owner, Action::OAuthRevoked, Target::OAuthClient(client.id))
        }
        _ => Entry::of_account(UserId(id), Action::OAuthRevoked, target),
    }
}
