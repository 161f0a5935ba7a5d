//! Signatures after [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks) 1.0: HMAC-SHA256 over
//! `id.timestamp.body`, one signature for each secret that is valid, so that secrets can overlap while they rotate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::kernel::{Result, Rng, Secret};

/// Header with the message id; the same at every attempt.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the instant of the attempt, in seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// What the text of a secret starts with.
const PREFIX: &str = "whsec_";
/// Bytes of a secret that we make.
const KEY_LEN: usize = 32;
/// Bytes that the specification allows a secret to have.
const KEY_LENS: std::ops::RangeInclusive<usize> = 24..=64;

/// Text that is no signing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret is `whsec_` and the base64 of 24 to 64 bytes")]
pub struct InvalidSecret;

/// The value of the `webhook-signature` header: `v1,<base64>` for each secret, separated by blanks. `id` must not hold
/// a dot, which separates the signed parts.
pub fn sign(secrets: &[Secret<Vec<u8>>], id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let head = format!("{id}.{timestamp_secs}.");
    let signatures: Vec<String> = secrets
        .iter()
        // HMAC takes keys of any length, so none is left out.
        .filter_map(|secret| Hmac::<Sha256>::new_from_slice(secret.expose()).ok())
        .map(|mut mac| {
            mac.update(head.as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        })
        .collect();
    signatures.join(" ")
}

/// A new secret, as the receiver configures it: `whsec_` and the base64 of 32 random bytes.
///
/// # Errors
/// See [`Rng::fill`].
pub fn new_secret(rng: &Rng) -> Result<Secret<String>> {
    let key = Zeroizing::new(rng.bytes::<KEY_LEN>()?);
    // Sized beforehand, so that growing leaves no copy behind.
    let mut text = String::with_capacity(PREFIX.len() + KEY_LEN.div_ceil(3) * 4);
    text.push_str(PREFIX);
    STANDARD.encode_string(key.as_slice(), &mut text);
    Ok(Secret::new(text))
}

/// The key in the text of a secret.
///
/// # Errors
/// [`InvalidSecret`] without the prefix, with broken base64, or with fewer than 24 or more than 64 bytes.
pub fn decode_secret(text: &str) -> Result<Secret<Vec<u8>>, InvalidSecret> {
    let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
    let key = Secret::new(STANDARD.decode(encoded).map_err(|_| InvalidSecret)?);
    if KEY_LENS.contains(&key.expose().len()) {
        Ok(key)
    } else {
        Err(InvalidSecret)
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderMap, HeaderValue};
    use standardwebhooks::Webhook;

    use super::*;
    use crate::kernel::Clock;

    fn headers(id: &str, at: i64, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ID_HEADER, HeaderValue::from_str(id).unwrap());
        headers.insert(TIMESTAMP_HEADER, HeaderValue::from(at));
        headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(signature).unwrap());
        headers
    }

    #[test]
    fn known_answers() {
        let cases = [
            // The example of the specification's reference libraries.
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ];
        for (secret, id, at, body, signature) in cases {
            assert_eq!(
                sign(&[decode_secret(secret).unwrap()], id, at, body.as_bytes()),
                signature
            );
        }
    }

    #[test]
    fn the_official_library_verifies_with_either_secret_of_a_rotation() {
        let rng = Rng::seeded(7);
        let (old, new) = (new_secret(&rng).unwrap(), new_secret(&rng).unwrap());
        let keys = [
            decode_secret(new.expose()).unwrap(),
            decode_secret(old.expose()).unwrap(),
        ];
        let (id, at, body) = (
            "evt_1",
            Clock::system().now().secs(),
            "{\"type\":\"secret.created\"}".as_bytes(),
        );
        let good = headers(id, at, &sign(&keys, id, at, body));
        for secret in [&old, &new] {
            let receiver = Webhook::new(secret.expose()).unwrap();
            receiver.verify(body, &good).unwrap();
            assert!(receiver.verify(b"{}", &good).is_err());
            assert!(
                receiver
                    .verify(body, &headers("evt_2", at, &sign(&keys, id, at, body)))
                    .is_err()
            );
            assert!(
                receiver
                    .verify(body, &headers(id, at + 1, &sign(&keys, id, at, body)))
                    .is_err()
            );
        }
        let other = Webhook::new(new_secret(&rng).unwrap().expose()).unwrap();
        assert!(other.verify(body, &good).is_err());
    }

    #[test]
    fn new_secrets_differ_and_hold_32_bytes() {
        let rng = Rng::system();
        let (one, two) = (new_secret(&rng).unwrap(), new_secret(&rng).unwrap());
        assert!(one.expose() != two.expose());
        assert_eq!(decode_secret(one.expose()).map(|key| key.expose().len()), Ok(KEY_LEN));
        assert_eq!(one.expose().len(), one.expose().capacity());
    }

    #[test]
    fn other_texts_are_no_secrets() {
        let short = format!("whsec_{}", STANDARD.encode([1; 23]));
        let long = format!("whsec_{}", STANDARD.encode([1; 65]));
        for text in [
            "",
            "whsec_",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_!!!!",
            &short,
            &long,
        ] {
            assert!(decode_secret(text).is_err(), "{text}");
        }
    }
}
