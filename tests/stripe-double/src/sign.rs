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
