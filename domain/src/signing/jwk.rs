//! Public keys as JSON (RFC 7517), their thumbprints (RFC 7638), and checking a signature with one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Alg;

/// Bytes of a coordinate of P-256 and of an Ed25519 key.
const WIDTH: usize = 32;

/// A public key of one of our algorithms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jwk {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256 { x: [u8; WIDTH], y: [u8; WIDTH] },
    Ed25519 { x: [u8; WIDTH] },
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(value: &Value, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(value.get(name)?.as_str()?).ok()
}

fn coordinate(value: &Value, name: &str) -> Option<[u8; WIDTH]> {
    bytes(value, name)?.try_into().ok()
}

impl Jwk {
    /// The one algorithm that goes with the key.
    pub fn alg(&self) -> Alg {
        match self {
            Self::Rsa { .. } => Alg::Rs256,
            Self::P256 { .. } => Alg::Es256,
            Self::Ed25519 { .. } => Alg::EdDsa,
        }
    }

    /// The members that make the key, and no others.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Rsa { n, e } => json!({ "e": text(e), "kty": "RSA", "n": text(n) }),
            Self::P256 { x, y } => json!({ "crv": "P-256", "kty": "EC", "x": text(x), "y": text(y) }),
            Self::Ed25519 { x } => json!({ "crv": "Ed25519", "kty": "OKP", "x": text(x) }),
        }
    }

    /// Reads a key; `None` for one of another kind or curve.
    pub fn from_json(value: &Value) -> Option<Self> {
        let is = |name: &str, wanted: &str| value.get(name).and_then(Value::as_str) == Some(wanted);
        if is("kty", "RSA") {
            return Some(Self::Rsa {
                n: bytes(value, "n")?,
                e: bytes(value, "e")?,
            });
        }
        if is("kty", "EC") && is("crv", "P-256") {
            return Some(Self::P256 {
                x: coordinate(value, "x")?,
                y: coordinate(value, "y")?,
            });
        }
        (is("kty", "OKP") && is("crv", "Ed25519"))
            .then(|| coordinate(value, "x"))?
            .map(|x| Self::Ed25519 { x })
    }

    /// The id of the key. `to_json` writes the members in the order of their names and without blanks, as RFC 7638
    /// §3.3 wants it.
    pub fn thumbprint(&self) -> String {
        text(&Sha256::digest(self.to_json().to_string()))
    }

    /// The key as a set of keys shows it.
    pub fn published(&self, kid: &str) -> Value {
        let mut shown = self.to_json();
        if let Some(members) = shown.as_object_mut() {
            members.insert("kid".to_owned(), kid.into());
            members.insert("alg".to_owned(), self.alg().as_str().into());
            members.insert("use".to_owned(), "sig".into());
        }
        shown
    }

    /// Whether the key signed this. RSA keys below 2048 bits sign nothing here.
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Self::P256 { x, y } => {
                let point = [&[4][..], x, y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                    .verify(message, signature)
                    .is_ok()
            }
            Self::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, x).verify(message, signature).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7638 §3.1.
    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        let key = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        });
        let key = Jwk::from_json(&key).unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        assert_eq!(Jwk::from_json(&key.published("x")), Some(key));
    }

    // RFC 8037, appendix A.3 and A.4.
    #[test]
    fn an_ed25519_signature_of_the_standard_is_checked() {
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        let key = Jwk::from_json(&key).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        assert!(key.signed(signed, &signature));
        assert!(!key.signed(b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmd", &signature));
    }

    #[test]
    fn other_kinds_and_curves_are_no_keys_of_ours() {
        for key in [
            json!({ "kty": "oct", "k": "AAAA" }),
            json!({ "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA" }),
            json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }),
            json!({ "kty": "OKP", "crv": "X25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }),
            json!({ "kty": "RSA", "n": 7, "e": "AQAB" }),
            json!({}),
        ] {
            assert_eq!(Jwk::from_json(&key), None, "{key}");
        }
    }
}
