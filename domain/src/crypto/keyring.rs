//! The root keys of an installation. They come from its configuration, never from the database, and wrap data keys.

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::aad::{Aad, Purpose};
use super::aead::{self, AeadKey, KEY_LEN, NONCE_LEN, OpenError, TAG_LEN};
use super::mac::MacKey;
use crate::kernel::{Result, Rng, Secret};

/// The one format of wrapped keys so far: `format = 1 (1) | nonce (12) | ciphertext | tag (16)`.
const FORMAT: u8 = 1;
/// Longest id of a root key, characters.
const MAX_ID_LEN: usize = 32;

/// Root keys that cannot be read. Names the entry by its position and repeats nothing of the text, which may be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Nothing is there.
    #[error("no root key is set; make one with `openssl rand -base64 32`")]
    Missing,
    /// An entry of a list without `id:` before the key.
    #[error("root key {0}: a list of keys is written `id:key,id:key`, the key for new data first")]
    NoId(usize),
    /// An id of other characters.
    #[error("root key {0}: its id must be 1 to 32 of a-z, 0-9, _ and -")]
    BadId(usize),
    /// An id used before.
    #[error("root key {0}: its id is that of another root key")]
    DuplicateId(usize),
    /// The same key again, under another id: a rotation that changes nothing.
    #[error("root key {0}: it is the same key as another one; make a new one with `openssl rand -base64 32`")]
    DuplicateKey(usize),
    /// Not base64 at all.
    #[error("root key {0}: it is not base64; make one with `openssl rand -base64 32`")]
    NotBase64(usize),
    /// Base64 of another length: a hexadecimal key or a passphrase, mostly.
    #[error(
        "root key {position}: it holds {len} bytes after base64 decoding and must hold exactly 32; make one with `openssl rand -base64 32`"
    )]
    WrongLength {
        /// Position in the list, from 1.
        position: usize,
        /// Length found, bytes.
        len: usize,
    },
}

/// One root key.
pub struct RootKey {
    id: String,
    aead: AeadKey,
    mac: MacKey,
    /// Tells two entries with one key, without keeping the key itself.
    digest: [u8; 32],
}

impl RootKey {
    fn new(id: Option<&str>, bytes: [u8; KEY_LEN]) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update("strongroom root key id")
            .chain_update(bytes)
            .finalize()
            .into();
        let [a, b, c, d, ..] = digest;
        let id = id.map_or_else(|| format!("k{}", hex::encode([a, b, c, d])), str::to_owned);
        Self {
            id,
            aead: AeadKey::new(bytes),
            mac: MacKey::new(bytes),
            digest,
        }
    }

    /// The id under which wrapped keys name it. Not secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Known bytes under this key, to notice a wrong one before anything is written: they may be stored in clear.
    pub fn check_value(&self) -> [u8; 8] {
        self.mac.mac_short(&[b"kcv", self.id.as_bytes()])
    }

    /// The key's own id is bound too, so a row that names another root key does not open.
    fn bound(&self, aad: &[u8]) -> Vec<u8> {
        Aad::new(Purpose::DataKey).bytes(aad).text(&self.id).finish()
    }
}

/// The root keys: one wraps new keys, all unwrap.
pub struct RootKeyring {
    primary: RootKey,
    others: Vec<RootKey>,
}

impl RootKeyring {
    /// Reads one base64 key, or `id:key,id:key` with the primary first. Base64 may be of either alphabet, with or
    /// without padding.
    ///
    /// # Errors
    /// [`KeyringError`] that says what to do and repeats nothing of the text.
    pub fn parse(text: &Secret<String>) -> Result<Self, KeyringError> {
        let text = text.expose().trim();
        if text.is_empty() {
            return Err(KeyringError::Missing);
        }
        if !text.contains([':', ',']) {
            return Ok(Self {
                primary: RootKey::new(None, *decode(1, text)?),
                others: Vec::new(),
            });
        }
        let mut keys: Vec<RootKey> = Vec::new();
        for (position, entry) in (1..).zip(text.split(',')) {
            let key = parse_entry(position, entry)?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeyringError::DuplicateId(position));
            }
            if keys.iter().any(|other| other.digest == key.digest) {
                return Err(KeyringError::DuplicateKey(position));
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let primary = keys.next().ok_or(KeyringError::Missing)?;
        Ok(Self {
            primary,
            others: keys.collect(),
        })
    }

    /// A new root key in the text form that [`RootKeyring::parse`] reads, for a new installation.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Internal`] without random numbers.
    pub fn generate(rng: &Rng) -> Result<Secret<String>> {
        let bytes = Zeroizing::new(rng.bytes::<KEY_LEN>()?);
        Ok(Secret::new(engine(&STANDARD).encode(*bytes)))
    }

    /// The key that wraps new keys.
    pub fn primary(&self) -> &RootKey {
        &self.primary
    }

    /// A key by id.
    pub fn get(&self, id: &str) -> Option<&RootKey> {
        self.keys().find(|key| key.id == id)
    }

    /// The ids, primary first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys().map(RootKey::id)
    }

    /// See [`RootKey::check_value`]; `None` for an unknown id.
    pub fn check_value(&self, id: &str) -> Option<[u8; 8]> {
        self.get(id).map(RootKey::check_value)
    }

    /// Wraps a key under the primary root key and returns that one's id with the wrapped bytes. `aad` says what the
    /// wrapped key is for: scope, purpose, generation. The id of the root key is added here.
    ///
    /// # Errors
    /// [`crate::kernel::Error::Internal`] without random numbers.
    pub fn wrap(&self, rng: &Rng, aad: &[u8], key: &[u8]) -> Result<(String, Vec<u8>)> {
        let root = &self.primary;
        let nonce = rng.bytes::<NONCE_LEN>()?;
        let mut wrapped = Vec::with_capacity(1 + NONCE_LEN + key.len() + TAG_LEN);
        wrapped.push(FORMAT);
        wrapped.extend_from_slice(&nonce);
        root.aead.seal_into(&mut wrapped, nonce, &root.bound(aad), key)?;
        Ok((root.id.clone(), wrapped))
    }

    /// Unwraps a key.
    ///
    /// # Errors
    /// [`OpenError`] for an unknown root key, a wrong one, other additional data or damaged bytes.
    pub fn unwrap(&self, root_key_id: &str, aad: &[u8], wrapped: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        let root = self.get(root_key_id).ok_or(OpenError)?;
        let (format, rest) = wrapped.split_first().ok_or(OpenError)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError)?;
        if *format != FORMAT {
            return Err(OpenError);
        }
        let mut key = aead::open(&root.aead, *nonce, &root.bound(aad), sealed)?;
        Ok(Secret::new(std::mem::take(&mut *key)))
    }

    /// Whether a key of these is one of the others too.
    pub fn shares_a_key(&self, others: &Self) -> bool {
        self.keys()
            .any(|key| others.keys().any(|other| other.digest == key.digest))
    }

    fn keys(&self) -> impl Iterator<Item = &RootKey> {
        std::iter::once(&self.primary).chain(&self.others)
    }
}

fn parse_entry(position: usize, entry: &str) -> Result<RootKey, KeyringError> {
    let (id, key) = entry.split_once(':').ok_or(KeyringError::NoId(position))?;
    let id = id.trim();
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if id.is_empty() || id.len() > MAX_ID_LEN || !id.bytes().all(letter) {
        return Err(KeyringError::BadId(position));
    }
    Ok(RootKey::new(Some(id), *decode(position, key.trim())?))
}

fn decode(position: usize, text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyringError> {
    let alphabet = if text.contains(['-', '_']) {
        &URL_SAFE
    } else {
        &STANDARD
    };
    let bytes = engine(alphabet)
        .decode(text)
        .map(Zeroizing::new)
        .map_err(|_| KeyringError::NotBase64(position))?;
    let wrong_length = KeyringError::WrongLength {
        position,
        len: bytes.len(),
    };
    bytes
        .as_slice()
        .try_into()
        .map(Zeroizing::new)
        .map_err(|_| wrong_length)
}

fn engine(alphabet: &Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
