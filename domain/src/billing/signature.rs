//! Whether an event is from Stripe: the header `Stripe-Signature`, checked over the bytes as they came. Several secrets
//! may be good at once, while one replaces another. Source: docs.stripe.com/webhooks/signature.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::kernel::{Secret, Timestamp};

/// How far the instant of the signature may be from ours, both ways.
pub const TOLERANCE: Duration = Duration::from_mins(5);
/// Signatures of one header that are looked at: Stripe sends one for each secret that is good, of two at most.
const MOST_SIGNATURES: usize = 8;
/// Bytes of a signature.
const LEN: usize = 32;

/// Why an event is not taken for Stripe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header, no instant in it, two of them, or no signature of the version that counts.
    #[error("the header is missing or is not one of Stripe's")]
    Malformed,
    /// None of the secrets gives any of its signatures.
    #[error("the signature fits none of the secrets")]
    Wrong,
    /// It was signed too long ago, or is from the future.
    #[error("it was signed more than five minutes from now")]
    Stale,
}

/// Checks a body against its header. Every signature is compared with every secret, in time that tells nothing.
///
/// # Errors
/// See [`SignatureError`].
pub fn verify(body: &[u8], header: &str, secrets: &[Secret<String>], now: Timestamp) -> Result<(), SignatureError> {
    let (signed_at, signatures) = parts(header)?;
    let seconds: i64 = signed_at.parse().map_err(|_| SignatureError::Malformed)?;
    let mut is_good = false;
    for secret in secrets {
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
            continue;
        };
        mac.update(signed_at.as_bytes());
        mac.update(b".");
        mac.update(body);
        for signature in &signatures {
            is_good |= mac.clone().verify_slice(signature).is_ok();
        }
    }
    if !is_good {
        return Err(SignatureError::Wrong);
    }
    if now.secs().abs_diff(seconds) > TOLERANCE.as_secs() {
        return Err(SignatureError::Stale);
    }
    Ok(())
}

/// The instant as it is written, and the signatures of version 1. Other versions are not looked at.
fn parts(header: &str) -> Result<(&str, Vec<[u8; LEN]>), SignatureError> {
    let (mut signed_at, mut signatures) = (None, Vec::new());
    for part in header.split(',') {
        let Some((name, value)) = part.trim().split_once('=') else {
            continue;
        };
        match name {
            "t" if signed_at.is_some() => return Err(SignatureError::Malformed),
            "t" => signed_at = Some(value),
            "v1" if signatures.len() < MOST_SIGNATURES => {
                let mut signature = [0; LEN];
                if hex::decode_to_slice(value, &mut signature).is_ok() {
                    signatures.push(signature);
                }
            }
            _ => {}
        }
    }
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let signed_at = signed_at.filter(digits).ok_or(SignatureError::Malformed)?;
    if signatures.is_empty() {
        return Err(SignatureError::Malformed);
    }
    Ok((signed_at, signatures))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_test";
    const NOW: i64 = 1_900_000_000;

    /// `v1` of a body, hex. The vectors that an independent signer made are in `tests/`.
    fn sign(secret: &str, at: &str, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(at.as_bytes());
        mac.update(b".");
        mac.update(body);
        hex::encode(mac.finalize().into_bytes())
    }

    fn judged(body: &[u8], header: &str, secrets: &[&str]) -> Result<(), SignatureError> {
        let secrets: Vec<_> = secrets.iter().map(|text| Secret::new((*text).to_owned())).collect();
        verify(body, header, &secrets, Timestamp(NOW * 1_000_000))
    }

    fn signed(at: i64, body: &[u8]) -> String {
        format!("t={at},v1={}", sign(SECRET, &at.to_string(), body))
    }

    // printf '1900000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test
    #[test]
    fn openssl_agrees() {
        let body = br#"{"id":"evt_1"}"#;
        let known = "07bfe3263a269f453f7d5a37b2a4cd1da8d9ce73d114dc03a02eb54dd6fba09d";
        assert_eq!(sign(SECRET, "1900000000", body), known);
        assert_eq!(judged(body, &format!("t=1900000000,v1={known}"), &[SECRET]), Ok(()));
    }

    #[test]
    fn five_minutes_both_ways_and_not_a_second_more() {
        for (offset, expected) in [
            (0, Ok(())),
            (-300, Ok(())),
            (300, Ok(())),
            (-301, Err(SignatureError::Stale)),
            (301, Err(SignatureError::Stale)),
        ] {
            assert_eq!(
                judged(b"x", &signed(NOW + offset, b"x"), &[SECRET]),
                expected,
                "{offset}"
            );
        }
    }

    #[test]
    fn any_secret_that_is_good_and_any_signature_will_do() {
        let good = sign(SECRET, &NOW.to_string(), b"x");
        let other = sign("whsec_other", &NOW.to_string(), b"x");
        for header in [
            format!("t={NOW},v1={other},v1={good}"),
            format!("t={NOW}, v1={good}, v0={other}"),
            format!("v1={good},t={NOW}"),
        ] {
            assert_eq!(judged(b"x", &header, &["whsec_new", SECRET]), Ok(()), "{header}");
        }
        assert_eq!(
            judged(b"x", &format!("t={NOW},v1={good}"), &["whsec_new"]),
            Err(SignatureError::Wrong)
        );
        assert_eq!(
            judged(b"x", &format!("t={NOW},v1={good}"), &[]),
            Err(SignatureError::Wrong)
        );
    }

    #[test]
    fn what_was_changed_is_not_stripes() {
        let header = signed(NOW, b"{\"a\":1}\n");
        for body in [&b"{\"a\":2}\n"[..], b"{\"a\":1}\r\n", b"{\"a\":1}", b""] {
            assert_eq!(judged(body, &header, &[SECRET]), Err(SignatureError::Wrong), "{body:?}");
        }
        assert_eq!(
            judged(b"", &signed(NOW, b""), &[SECRET]),
            Ok(()),
            "an empty body can be signed"
        );
    }

    #[test]
    fn headers_that_are_none_of_stripes_are_refused() {
        let good = sign(SECRET, &NOW.to_string(), b"x");
        for header in [
            String::new(),
            "t=".to_owned(),
            format!("v1={good}"),
            format!("t={NOW}"),
            format!("t={NOW},v0={good}"),
            format!("t={NOW},v1=zz"),
            format!("t={NOW},v1={}", &good[2..]),
            format!("t={NOW},t={NOW},v1={good}"),
            format!("t=+{NOW},v1={good}"),
            format!("t= {NOW},v1={good}"),
            format!("t=99999999999999999999,v1={good}"),
        ] {
            assert_eq!(
                judged(b"x", &header, &[SECRET]),
                Err(SignatureError::Malformed),
                "{header}"
            );
        }
    }
}
