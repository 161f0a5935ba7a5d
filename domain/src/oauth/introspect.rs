//! What a token is good for (RFC 7662), for the client that holds it and nobody else.

use serde_json::{Map, Value, json};

use super::party::Party;
use super::{grant, revoke};
use crate::auth::authenticate;
use crate::auth::oauth_token::CLIENT;
use crate::crypto::token::TokenMacKey;
use crate::kernel::id::OAuthGrantId;
use crate::kernel::{Db, Reads, Result};

/// The answer to a token that is no good: nothing else is told of it.
fn inactive() -> Value {
    json!({ "active": false })
}

/// Tells a client about a token of its own.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn introspect(db: &Db, macs: &TokenMacKey, issuer: &str, party: &Party, text: &str) -> Result<Value> {
    let found = revoke::find(db, macs, issuer, text).await?;
    let Some((stored, claims)) = found.filter(|(stored, _)| stored.name == party.client_id()) else {
        return Ok(inactive());
    };
    if stored.is_over(db.now()) || stored.replaced_by.is_some() {
        return Ok(inactive());
    }
    // A client's own token is nobody's that could be switched off; that the client may ask tells of it.
    if stored.principal_type != CLIENT && !authenticate::is_in_force(db, stored.id).await? {
        return Ok(inactive());
    }
    let mut told = Map::new();
    told.insert("active".to_owned(), true.into());
    told.insert("client_id".to_owned(), stored.name.into());
    if let Some(claims) = claims {
        for name in ["iss", "aud", "sub", "jti", "iat", "exp", "scope", "auth_time", "org_id"] {
            if let Some(value) = claims.get(name) {
                told.insert(name.to_owned(), value.clone());
            }
        }
        told.insert("token_type".to_owned(), "Bearer".into());
        return Ok(told.into());
    }
    told.insert("iss".to_owned(), issuer.into());
    told.insert("iat".to_owned(), stored.created_at.secs().into());
    if let Some(end) = stored.expires_at {
        told.insert("exp".to_owned(), end.secs().into());
    }
    let grant = match stored.family_id {
        Some(family) => grant::find(db, OAuthGrantId(family)).await?,
        None => None,
    };
    if let Some(grant) = grant {
        told.insert("sub".to_owned(), grant.user.to_string().into());
        told.insert("scope".to_owned(), grant.scopes.to_string().into());
    }
    Ok(told.into())
}
