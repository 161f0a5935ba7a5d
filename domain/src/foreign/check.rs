//! The check of a token. What its header says picks a key among those of the one issuer that is expected, and nothing
//! else: each key has one algorithm, so `none`, HS256 under a public key and keys brought along get nowhere.

use serde_json::Value;

use super::{Checked, Failure, Issuers};
use crate::kernel::Timestamp;
use crate::signing::Claims;
use crate::signing::jws::Parsed;

/// What a token must be to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub audience: &'a str,
    pub jwks_uri: &'a str,
}

impl Issuers {
    /// The claims of a token that the expected issuer signed for the expected audience, and that is in force.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn check(&self, token: &str, expected: &Expected<'_>, now: Timestamp) -> Checked<Claims> {
        let parsed = Parsed::read(token).ok_or(Failure::Refused("it is no signed token"))?;
        if parsed.typ() != "jwt" {
            return Err(Failure::Refused("it is a token of another kind"));
        }
        let kid = parsed.kid().map(str::to_owned);
        drop(parsed);
        let keys = self.keys(expected.jwks_uri, kid.as_deref(), now).await?;
        let opened = keys
            .iter()
            .find_map(|key| Parsed::read(token).and_then(|parsed| parsed.opened_with(key)));
        let claims = opened.ok_or(Failure::Refused("no key of the issuer signed it"))?;
        if !claims.meet(expected.issuer, expected.audience, now) {
            return Err(Failure::Refused("its issuer, audience or time is wrong"));
        }
        if !is_meant_for(&claims, expected.audience) {
            return Err(Failure::Refused("it was made for another party"));
        }
        Ok(claims)
    }
}

/// OpenID Connect Core §3.1.3.7: of several audiences the authorized party must be we, and so it must be if it is named.
fn is_meant_for(claims: &Claims, audience: &str) -> bool {
    let several = claims
        .get("aud")
        .and_then(Value::as_array)
        .is_some_and(|all| all.len() > 1);
    match claims.get("azp") {
        None => !several,
        Some(party) => party.as_str() == Some(audience),
    }
}
