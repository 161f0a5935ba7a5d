//! Signatures of webhooks. Strongroom verifies with other code: `hmac` and `sha2`; this is `ring`.

use ring::hmac;

/// The header `Stripe-Signature` for a body that is sent at `at`: one `v1` for each secret.
///
/// Like Stripe in its test mode, it adds a `v0` that nobody may trust.
pub fn header(body: &[u8], at: i64, secrets: &[&str]) -> String {
    let mut parts = vec![format!("t={at}")];
    parts.extend(
        secrets
            .iter()
            .map(|secret| format!("v1={}", signature(body, at, secret))),
    );
    parts.push(format!("v0={}", signature(body, at, "another scheme")));
    parts.join(",")
}

/// Hex of HMAC-SHA256 over `{at}.{body}`.
pub fn signature(body: &[u8], at: i64, secret: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{at}.").as_bytes());
    context.update(body);
    hex::encode(context.sign())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{header, signature};

    #[test]
    fn signatures_are_those_of_stripes_own_sdk() {
        let vectors: Value = serde_json::from_str(include_str!("../fixtures/signatures.json")).unwrap();
        let vectors = vectors.as_array().unwrap();
        assert_eq!(vectors.len(), 8);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().unwrap();
            let made = signature(text("body").as_bytes(), vector["at"].as_i64().unwrap(), text("secret"));
            assert_eq!(made, text("signature"), "{}", text("name"));
        }
    }

    #[test]
    fn a_header_has_a_v1_for_each_secret() {
        let made = header(b"{}", 7, &["a", "b"]);
        assert!(made.starts_with("t=7,v1="), "{made}");
        assert_eq!(made.matches(",v1=").count(), 2);
        assert_eq!(made.matches(",v0=").count(), 1);
    }
}
