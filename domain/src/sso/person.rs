//! Whom a provider says somebody is.

use serde_json::{Map, Value};

use super::connection::Tokens;
use crate::foreign::{Checked, Failure};
use crate::kernel::text::{self, Email};
use crate::signing::Claims;

/// Longest subject, bytes. Source: OpenID Connect Core §2.
const MAX_SUBJECT: usize = 255;
/// Longest name that is taken over, characters.
const MAX_NAME: usize = 100;

/// A person, by a provider's word.
#[derive(Clone, Debug)]
pub struct Person {
    pub issuer: String,
    pub subject: String,
    pub email: Option<Email>,
    /// Whether the provider says that the address was verified. Only `true` is a yes.
    pub email_verified: bool,
    pub first_name: String,
    pub last_name: String,
}

/// The subject of an ID token.
///
/// # Errors
/// [`Failure::Refused`].
pub fn subject(claims: &Claims) -> Checked<String> {
    let subject = claims
        .text("sub")
        .filter(|sub| !sub.is_empty() && sub.len() <= MAX_SUBJECT);
    let plain = subject.filter(|sub| !sub.chars().any(char::is_control));
    Ok(plain.ok_or(Failure::Refused("the ID token names nobody"))?.to_owned())
}

/// Whether userinfo is to be asked: the ID token does not tell the address.
pub fn needs_userinfo(claims: &Claims, tokens: &Tokens) -> bool {
    claims.get("email").is_none() && tokens.access_token.is_some()
}

impl Person {
    /// Reads what was said. Address and its verification come from one source, never mixed.
    pub fn read(issuer: &str, subject: String, claims: &Claims, userinfo: &Map<String, Value>) -> Self {
        let by_token = claims.get("email").is_some();
        let said = |name: &str| {
            if by_token { claims.get(name) } else { userinfo.get(name) }
        };
        let named = |name: &str| {
            let value = claims.get(name).or_else(|| userinfo.get(name));
            let text = value.and_then(Value::as_str).unwrap_or_default();
            let plain = text.trim().chars().filter(|letter| !letter.is_control());
            plain.take(MAX_NAME).collect::<String>()
        };
        let email = said("email").and_then(Value::as_str);
        Self {
            issuer: issuer.to_owned(),
            subject,
            email: email.and_then(|email| text::email("email", email).ok()),
            email_verified: said("email_verified") == Some(&Value::Bool(true)),
            first_name: named("given_name"),
            last_name: named("family_name"),
        }
    }

    /// The domain of the address, in lower case, if the address is verified.
    pub fn verified_domain(&self) -> Option<&str> {
        let email = self.email.as_ref().filter(|_| self.email_verified)?;
        email.canonical.rsplit_once('@').map(|(_, domain)| domain)
    }
}
