//! Signatures after [Standard Webhooks](https://github.com/standard-webhooks/standard-webhooks) 1.0 over
//! `id.timestamp.body`: `v1`, HMAC-SHA256 under a shared secret, and `v1a`, Ed25519 by a key whose public half verifies.
//! There is one of each for every secret that is valid, so that secrets can overlap while they rotate.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{Ed25519KeyPair, KeyPair};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::kernel::{Error, Result, Rng, Secret};

/// Header with the message id; the same at every attempt.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the instant of the attempt, in seconds since the Unix epoch.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signatures.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// What the text of a secret starts with.
const PREFIX: &str = "whsec_";
/// What the text of a public key starts with.
const PUBLIC_PREFIX: &str = "whpk_";
/// Bytes of the seed of a key pair. Source: RFC 8032.
pub const SEED_LEN: usize = 32;
/// Bytes of a secret that we make.
const KEY_LEN: usize = 32;
/// Bytes that the specification allows a secret to have.
const KEY_LENS: std::ops::RangeInclusive<usize> = 24..=64;

/// Text that is no signing secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret is `whsec_` and the base64 of 24 to 64 bytes")]
pub struct InvalidSecret;

/// An Ed25519 key pair that signs deliveries.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The key pair of a seed of 32 bytes.
    ///
    /// # Errors
    /// [`Error::Internal`] for a seed of another length.
    pub fn from_seed(seed: &[u8]) -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        pair.map(Self)
            .map_err(|_| Error::internal("the seed of a signing key is malformed"))
    }

    /// The public half, as receivers configure it: `whpk_` and the base64 of its 32 bytes.
    pub fn public_key(&self) -> String {
        format!("{PUBLIC_PREFIX}{}", STANDARD.encode(self.0.public_key()))
    }
}

/// The value of the `webhook-signature` header, separated by blanks: `v1,<base64>` for each secret, then `v1a,<base64>`
/// for each key. `id` must not hold a dot, which separates the signed parts.
pub fn sign(secrets: &[Secret<Vec<u8>>], keys: &[SigningKey], id: &str, timestamp_secs: i64, body: &[u8]) -> String {
    let mut message = format!("{id}.{timestamp_secs}.").into_bytes();
    message.extend_from_slice(body);
    let shared = secrets
        .iter()
        // HMAC takes keys of any length, so none is left out.
        .filter_map(|secret| Hmac::<Sha256>::new_from_slice(secret.expose()).ok())
        .map(|mut mac| {
            mac.update(&message);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
    let by_key = keys
        .iter()
        .map(|key| format!("v1a,{}", STANDARD.encode(key.0.sign(&message))));
    let signatures: Vec<String> = shared.chain(by_key).collect();
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
    use ring::signature::{ED25519, UnparsedPublicKey};
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
                sign(&[decode_secret(secret).unwrap()], &[], id, at, body.as_bytes()),
                signature
            );
        }
    }

    #[test]
    fn a_known_seed_has_its_known_public_key() {
        // RFC 8032 §7.1, test 1.
        let seed = hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let key = SigningKey::from_seed(&seed).unwrap();
        assert_eq!(key.public_key(), format!("whpk_{}", STANDARD.encode(&public)));
        let signature = hex::encode(key.0.sign(b""));
        assert_eq!(
            signature,
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        );
        for len in [0, 31, 33, 64] {
            assert!(SigningKey::from_seed(&vec![1; len]).is_err(), "{len}");
        }
    }

    #[test]
    fn each_key_signs_after_all_secrets_and_its_public_half_verifies() {
        let rng = Rng::seeded(7);
        let secrets = [decode_secret(new_secret(&rng).unwrap().expose()).unwrap()];
        let keys = [1, 2].map(|byte| SigningKey::from_seed(&[byte; SEED_LEN]).unwrap());
        let (id, at, body) = ("evt_1", 1_900_000_000, b"{\"type\":\"secret.created\"}");
        let header = sign(&secrets, &keys, id, at, body);
        let signatures: Vec<_> = header.split(' ').map(|one| one.split_once(',').unwrap()).collect();
        assert_eq!(
            signatures.iter().map(|one| one.0).collect::<Vec<_>>(),
            ["v1", "v1a", "v1a"]
        );
        let signed = [format!("{id}.{at}.").as_bytes(), body.as_slice()].concat();
        for (key, (_, text)) in keys.iter().zip(&signatures[1..]) {
            let public = STANDARD
                .decode(key.public_key().strip_prefix("whpk_").unwrap())
                .unwrap();
            let verifier = UnparsedPublicKey::new(&ED25519, public);
            let signature = STANDARD.decode(text).unwrap();
            verifier.verify(&signed, &signature).unwrap();
            assert!(verifier.verify(&signed[1..], &signature).is_err());
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
        // A signature that it does not know is passed over.
        let pairs = [SigningKey::from_seed(&[3; SEED_LEN]).unwrap()];
        let (id, at, body) = (
            "evt_1",
            Clock::system().now().secs(),
            "{\"type\":\"secret.created\"}".as_bytes(),
        );
        let good = headers(id, at, &sign(&keys, &pairs, id, at, body));
        for secret in [&old, &new] {
            let receiver = Webhook::new(secret.expose()).unwrap();
            receiver.verify(body, &good).unwrap();
            assert!(receiver.verify(b"{}", &good).is_err());
            assert!(
                receiver
                    .verify(body, &headers("evt_2", at, &sign(&keys, &pairs, id, at, body)))
                    .is_err()
            );
            assert!(
                receiver
                    .verify(body, &headers(id, at + 1, &sign(&keys, &pairs, id, at, body)))
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
