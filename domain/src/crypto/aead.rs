//! AES-256-GCM with 96-bit nonces and 128-bit tags. Source: NIST SP 800-38D.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::Zeroizing;

use crate::kernel::{Error, Result};

/// Length of a key, bytes.
pub const KEY_LEN: usize = 32;
/// Length of a nonce, bytes. Nonces are random: counters would repeat after a restore or between two nodes.
pub const NONCE_LEN: usize = 12;
/// Length of the authentication tag, bytes. Shorter tags are refused.
pub const TAG_LEN: usize = 16;

/// Sealed data that does not open. One text whatever the cause: which check failed is nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed data cannot be opened")]
pub struct OpenError;

/// Data of ours that does not open is our fault: a wrong key, a moved row or a damaged one.
impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::internal(error.to_string())
    }
}

/// A key with its expanded schedule, wiped when dropped. Boxed, so that moving it leaves no copies on the stack.
pub struct AeadKey(Box<Aes256Gcm>);

impl AeadKey {
    /// Expands a key and wipes the bytes it was given.
    pub fn new(bytes: [u8; KEY_LEN]) -> Self {
        let bytes = Zeroizing::new(bytes);
        Self(Box::new(Aes256Gcm::new((&*bytes).into())))
    }

    /// Appends `ciphertext | tag` to `out`.
    ///
    /// # Errors
    /// [`Error::Internal`] for a plaintext beyond 64 GiB.
    pub(super) fn seal_into(&self, out: &mut Vec<u8>, nonce: [u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Result<()> {
        let too_long = || Error::internal("too long to seal");
        let start = out.len();
        // Room for all of it at once: a buffer that grew would leave plaintext behind in freed memory.
        out.reserve_exact(plain.len() + TAG_LEN);
        out.extend_from_slice(plain);
        let body = out.get_mut(start..).ok_or_else(too_long)?;
        let tag = self
            .0
            .encrypt_inout_detached(&nonce.into(), aad, body.into())
            .map_err(|_| too_long())?;
        out.extend_from_slice(&tag);
        Ok(())
    }
}

/// Encrypts `plaintext` and returns `ciphertext | tag`. A nonce must never be used twice with one key.
///
/// # Errors
/// [`Error::Internal`] for a plaintext beyond 64 GiB.
pub fn seal(key: &AeadKey, nonce: [u8; NONCE_LEN], aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>> {
    let mut sealed = Vec::new();
    key.seal_into(&mut sealed, nonce, aad, plaintext)?;
    Ok(sealed)
}

/// Checks and decrypts `ciphertext | tag`.
///
/// # Errors
/// [`OpenError`] when key, nonce, additional data, ciphertext or tag is not the one of the sealing.
pub fn open(key: &AeadKey, nonce: [u8; NONCE_LEN], aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut buffer = Zeroizing::new(sealed.to_vec());
    key.0
        .decrypt_in_place(&nonce.into(), aad, &mut *buffer)
        .map_err(|_| OpenError)?;
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_plaintext_is_a_tag_that_is_checked() {
        let key = AeadKey::new([7; KEY_LEN]);
        let sealed = seal(&key, [1; NONCE_LEN], b"place", b"").unwrap();
        assert_eq!(sealed.len(), TAG_LEN);
        assert!(open(&key, [1; NONCE_LEN], b"place", &sealed).unwrap().is_empty());
        assert!(open(&key, [1; NONCE_LEN], b"elsewhere", &sealed).is_err());
    }

    #[test]
    fn every_cause_of_refusal_has_one_text() {
        let key = AeadKey::new([7; KEY_LEN]);
        let sealed = seal(&key, [1; NONCE_LEN], b"place", b"value").unwrap();
        let texts: Vec<_> = [
            open(&AeadKey::new([8; KEY_LEN]), [1; NONCE_LEN], b"place", &sealed),
            open(&key, [2; NONCE_LEN], b"place", &sealed),
            open(&key, [1; NONCE_LEN], b"", &sealed),
            open(&key, [1; NONCE_LEN], b"place", &sealed[..sealed.len() - 1]),
            open(&key, [1; NONCE_LEN], b"place", &sealed[..TAG_LEN - 1]),
            open(&key, [1; NONCE_LEN], b"place", b""),
        ]
        .into_iter()
        .map(|opened| opened.unwrap_err().to_string())
        .collect();
        assert!(texts.iter().all(|text| text == "the sealed data cannot be opened"));
    }
}
