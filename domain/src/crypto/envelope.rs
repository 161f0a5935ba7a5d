//! Sealed blobs, as they lie in the database:
//!
//! ```text
//! format = 1 (1) | key id (16) | nonce (12) | ciphertext | tag (16)
//! ```
//!
//! Format and key id are authenticated together with the additional data of the caller.

use sha2::{Digest, Sha256};

use super::aad::{Aad, Purpose};
use super::aead::{self, AeadKey, KEY_LEN, NONCE_LEN, OpenError, TAG_LEN};
use crate::kernel::id::{EnvId, KeyId, OrgId, ProjectId, SecretId};
use crate::kernel::{Error, Result, Rng, Secret};

/// The one format so far.
const FORMAT: u8 = 1;
/// Format and key id, bytes.
const HEADER_LEN: usize = 17;
/// What a blob is longer than its plaintext, bytes.
pub const OVERHEAD: usize = HEADER_LEN + NONCE_LEN + TAG_LEN;
/// Texts sealed under one key, after which it is replaced. With random nonces the limit is 2^32; at 2^28 two nonces are
/// the same with a chance of 2^-41. Source: NIST SP 800-38D §8.3.
pub const MAX_SEALS: i64 = 1 << 28;

/// A key that seals values, with the id under which blobs name it.
pub struct DataKey {
    id: KeyId,
    key: AeadKey,
}

impl DataKey {
    /// Expands a key and wipes the bytes it was given.
    pub fn new(id: KeyId, bytes: [u8; KEY_LEN]) -> Self {
        Self {
            id,
            key: AeadKey::new(bytes),
        }
    }

    /// The id that blobs of this key carry.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Seals a value under a random nonce. At most [`MAX_SEALS`] values a key: then the key is to be replaced.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Internal`] without random numbers, or for a value beyond 64 GiB.
    pub fn seal(&self, rng: &Rng, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
        let header = header(self.id);
        let nonce = rng.bytes::<NONCE_LEN>()?;
        let mut blob = Vec::with_capacity(OVERHEAD + plaintext.len());
        blob.extend_from_slice(&header);
        blob.extend_from_slice(&nonce);
        self.key.seal_into(&mut blob, nonce, &bound(&header, aad), plaintext)?;
        Ok(blob)
    }

    /// Opens a blob sealed with this key and the same additional data.
    ///
    /// # Errors
    /// [`OpenError`] for anything else: no value is ever made up.
    pub fn open(&self, aad: &[u8], blob: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        let (header, rest) = blob.split_first_chunk::<HEADER_LEN>().ok_or(OpenError)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError)?;
        if *header != self::header(self.id) {
            return Err(OpenError);
        }
        let mut plain = aead::open(&self.key, *nonce, &bound(header, aad), sealed)?;
        Ok(Secret::new(std::mem::take(&mut *plain)))
    }
}

/// The id of the key that a blob was sealed with; `None` when it is no blob of ours.
pub fn key_id_of(blob: &[u8]) -> Option<KeyId> {
    let (format, rest) = blob.split_first()?;
    let id = rest.first_chunk::<16>()?;
    (*format == FORMAT && blob.len() >= OVERHEAD).then(|| KeyId(uuid::Uuid::from_bytes(*id)))
}

/// SHA-256 of a blob, for the journal: it betrays a blob put back or exchanged and tells nothing of its value.
pub fn blob_digest(blob: &[u8]) -> [u8; 32] {
    Sha256::digest(blob).into()
}

/// The digest in hex, as the journal tells it of each of a thousand values.
///
/// # Errors
/// None that can happen: the room is that of the text.
pub fn blob_digest_text(blob: &[u8]) -> Result<String> {
    let digest = blob_digest(blob);
    let mut text = vec![0; 2 * digest.len()];
    // `hex::encode` goes letter by letter, and takes longer than the digest.
    hex::encode_to_slice(digest, &mut text).map_err(|fault| Error::internal(fault.to_string()))?;
    String::from_utf8(text).map_err(|fault| Error::internal(fault.to_string()))
}

fn header(id: KeyId) -> [u8; HEADER_LEN] {
    let mut bytes = [FORMAT; HEADER_LEN];
    for (to, from) in bytes.iter_mut().skip(1).zip(id.0.as_bytes()) {
        *to = *from;
    }
    bytes
}

/// The header has one length, so it needs no framing of its own.
fn bound(header: &[u8; HEADER_LEN], aad: &[u8]) -> Vec<u8> {
    [header, aad].concat()
}

/// Which text of a secret version is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretField {
    /// The value.
    Value,
    /// The comment.
    Comment,
}

impl SecretField {
    const fn purpose(self) -> Purpose {
        match self {
            Self::Value => Purpose::SecretValue,
            Self::Comment => Purpose::SecretComment,
        }
    }
}

/// Where a sealed text belongs. All of it stays the same for the life of the row: keys, names and slugs may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecretPlace {
    pub org: OrgId,
    pub project: ProjectId,
    pub env: EnvId,
    pub secret: SecretId,
    /// Version of the secret, from 1.
    pub version: i64,
    pub field: SecretField,
}

impl SecretPlace {
    /// The additional data of this place.
    pub fn aad(&self) -> Vec<u8> {
        let Self {
            org,
            project,
            env,
            secret,
            version,
            field,
        } = *self;
        Aad::new(field.purpose())
            .uuid(org)
            .uuid(project)
            .uuid(env)
            .uuid(secret)
            .u64(version.cast_unsigned())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const KEPT_BLOB: &str = "0100000000000000000000000000000009000102030405060708090a0b9a3ee8b65b3d4f96a57903feb3aea01bd91174e26a1e2ba5eb8f9d9cb685be";

    fn place() -> SecretPlace {
        SecretPlace {
            org: OrgId(Uuid::from_u128(1)),
            project: ProjectId(Uuid::from_u128(2)),
            env: EnvId(Uuid::from_u128(3)),
            secret: SecretId(Uuid::from_u128(4)),
            version: 5,
            field: SecretField::Value,
        }
    }

    fn data_key(id: u128, byte: u8) -> DataKey {
        DataKey::new(KeyId(Uuid::from_u128(id)), [byte; 32])
    }

    #[test]
    fn opens_what_it_sealed_and_seals_it_anew_each_time() {
        let (rng, key, aad) = (Rng::seeded(1), data_key(9, 9), place().aad());
        for value in [&b""[..], b"x", &vec![0xff; 70_000]] {
            let blob = key.seal(&rng, &aad, value).unwrap();
            assert_eq!(blob.len(), value.len() + OVERHEAD);
            assert_eq!(key_id_of(&blob), Some(key.id()));
            assert!(key.open(&aad, &blob).unwrap().expose() == value);
            let again = key.seal(&rng, &aad, value).unwrap();
            assert_ne!(blob, again);
            assert_ne!(blob_digest(&blob), blob_digest(&again));
        }
    }

    #[test]
    fn a_digest_is_told_in_hex() {
        let blob = data_key(9, 9).seal(&Rng::seeded(1), &place().aad(), b"x").unwrap();
        assert_eq!(blob_digest_text(&blob).unwrap(), hex::encode(blob_digest(&blob)));
    }

    #[test]
    fn every_bit_counts() {
        let (rng, key, aad) = (Rng::seeded(2), data_key(9, 9), place().aad());
        let blob = key.seal(&rng, &aad, b"postgres://acme").unwrap();
        for bit in 0..blob.len() * 8 {
            let mut flipped = blob.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(&aad, &flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_bit_of_the_key_id_counts_even_for_the_key_of_that_id() {
        let (rng, key, aad) = (Rng::seeded(2), data_key(9, 9), place().aad());
        let mut blob = key.seal(&rng, &aad, b"value").unwrap();
        blob[16] ^= 1;
        let renamed = DataKey::new(key_id_of(&blob).unwrap(), [9; 32]);
        assert!(renamed.open(&aad, &blob).is_err());
    }

    #[test]
    fn truncated_and_lengthened_blobs_are_refused() {
        let (rng, key, aad) = (Rng::seeded(3), data_key(9, 9), place().aad());
        for value in [&b""[..], b"postgres://acme"] {
            let mut blob = key.seal(&rng, &aad, value).unwrap();
            for len in 0..blob.len() {
                assert!(key.open(&aad, &blob[..len]).is_err(), "{len}");
                assert!(len >= OVERHEAD || key_id_of(&blob[..len]).is_none(), "{len}");
            }
            blob.push(0);
            assert!(key.open(&aad, &blob).is_err());
        }
    }

    #[test]
    fn blobs_of_two_places_cannot_be_swapped() {
        let (rng, key, here) = (Rng::seeded(4), data_key(9, 9), place());
        let places = [
            here,
            SecretPlace {
                org: OrgId(Uuid::from_u128(10)),
                ..here
            },
            SecretPlace {
                project: ProjectId(Uuid::from_u128(10)),
                ..here
            },
            SecretPlace {
                env: EnvId(Uuid::from_u128(10)),
                ..here
            },
            SecretPlace {
                secret: SecretId(Uuid::from_u128(10)),
                ..here
            },
            SecretPlace { version: 6, ..here },
            SecretPlace { version: -5, ..here },
            SecretPlace {
                field: SecretField::Comment,
                ..here
            },
            // The same ids in each other's position.
            SecretPlace {
                org: OrgId(Uuid::from_u128(2)),
                project: ProjectId(Uuid::from_u128(1)),
                ..here
            },
            SecretPlace {
                env: EnvId(Uuid::from_u128(4)),
                secret: SecretId(Uuid::from_u128(3)),
                ..here
            },
        ];
        for (i, from) in places.iter().enumerate() {
            let blob = key.seal(&rng, &from.aad(), b"value").unwrap();
            for (j, to) in places.iter().enumerate() {
                assert_eq!(key.open(&to.aad(), &blob).is_ok(), i == j, "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn other_keys_do_not_open_it() {
        let (rng, key, aad) = (Rng::seeded(5), data_key(9, 9), place().aad());
        let blob = key.seal(&rng, &aad, b"value").unwrap();
        assert!(data_key(9, 8).open(&aad, &blob).is_err());
        assert!(data_key(8, 9).open(&aad, &blob).is_err());
    }

    // Stored data must open for ever: this blob was sealed once, by an independent implementation, and is kept.
    #[test]
    fn the_format_stays_as_it_is() {
        let blob = hex::decode(KEPT_BLOB).unwrap();
        assert!(data_key(9, 9).open(&place().aad(), &blob).unwrap().expose() == b"postgres://acme");
    }
}
