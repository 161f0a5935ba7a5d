//! Compact JWS (RFC 7515), read strictly: three parts, base64url without padding, a header that has each member once
//! and asks for no extensions. Keys that a header brings along or points to are not looked at.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Alg, Claims, Jwk};
use crate::kernel::{Error, Result};

/// Longest token that is looked at, bytes.
const MAX_LEN: usize = 8 * 1024;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
    b64: Option<Value>,
}

/// A token that was taken apart. Nothing of it is to be believed before [`Parsed::opened_with`].
pub struct Parsed<'a> {
    header: Header,
    signed: &'a str,
    payload: Map<String, Value>,
    signature: Vec<u8>,
}

impl<'a> Parsed<'a> {
    /// Takes a token apart; `None` for anything else.
    pub fn read(token: &'a str) -> Option<Self> {
        if token.len() > MAX_LEN {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        if header.crit.is_some() || header.b64.is_some() {
            return None;
        }
        Some(Self {
            header,
            signed,
            // A payload with another dot in it is no base64.
            payload: serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Which key it says it was signed with.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Its media type without `application/`, in lower case; `jwt` when it says none.
    pub fn typ(&self) -> String {
        let typ = self.header.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        match typ.strip_prefix("application/") {
            Some(rest) => rest.to_owned(),
            None => typ,
        }
    }

    /// The claims, if this key signed them, with the one algorithm of the key.
    pub fn opened_with(self, key: &Jwk) -> Option<Claims> {
        let is_signed = self.header.alg == key.alg().as_str() && key.signed(self.signed.as_bytes(), &self.signature);
        is_signed.then(|| Claims::new(self.payload))
    }
}

/// What is signed: header and payload.
///
/// # Errors
/// Never: claims are plain JSON.
pub fn signing_input(alg: Alg, kid: &str, typ: &str, claims: &Map<String, Value>) -> Result<String> {
    let header = json!({ "alg": alg.as_str(), "kid": kid, "typ": typ });
    let payload = serde_json::to_vec(claims).map_err(|e| Error::internal(format!("claims: {e}")))?;
    let header = URL_SAFE_NO_PAD.encode(header.to_string());
    Ok(format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload)))
}

/// The finished token.
pub fn with_signature(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        let text = |part: &str| URL_SAFE_NO_PAD.encode(part);
        format!("{}.{}.AAAA", text(header), text(payload))
    }

    #[test]
    fn a_plain_token_is_read() {
        let text = token(
            r#"{"alg":"RS256","kid":"k","typ":"application/AT+jwt","jku":"https://evil.example"}"#,
            r#"{"sub":"x"}"#,
        );
        let parsed = Parsed::read(&text).unwrap();
        assert_eq!((parsed.kid(), parsed.typ().as_str()), (Some("k"), "at+jwt"));
        let bare = token(r#"{"alg":"RS256"}"#, "{}");
        assert_eq!(Parsed::read(&bare).unwrap().typ(), "jwt");
    }

    #[test]
    fn whatever_two_readers_could_read_differently_is_refused() {
        let plain = token(r#"{"alg":"RS256"}"#, "{}");
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            plain.replace('.', " "),
            format!("{plain}=="),
            format!("{plain}.AAAA"),
            format!(" {plain}"),
            token(r#"{"alg":"RS256","alg":"none"}"#, "{}"),
            token(r#"{"alg":"RS256","crit":["exp"]}"#, "{}"),
            token(r#"{"alg":"RS256","b64":false}"#, "{}"),
            token(r#"{"alg":["RS256"]}"#, "{}"),
            token(r#"{"kid":"k"}"#, "{}"),
            token(r#"{"alg":"RS256"}"#, "[]"),
            token(r#"{"alg":"RS256"}"#, "\"x\""),
            token("[]", "{}"),
            token(r#"{"alg":"RS256"}"#, &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_LEN))),
        ] {
            assert!(Parsed::read(&bad).is_none(), "{bad}");
        }
    }
}
