//! HMAC-SHA256 under 32-byte keys. Source: RFC 2104, RFC 4231.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Block length of SHA-256, bytes.
const BLOCK_LEN: usize = 64;

/// A MAC key, wiped when dropped.
pub(super) struct MacKey(Zeroizing<[u8; 32]>);

impl MacKey {
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The MAC over the parts, joined: framing them is the caller's part.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC fills a short key up with zeros; doing it here takes a constructor that cannot fail.
        let mut block = Zeroizing::new([0; BLOCK_LEN]);
        for (to, from) in block.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The first `N` bytes of the MAC, at most 32.
    pub(super) fn mac_short<const N: usize>(&self, parts: &[&[u8]]) -> [u8; N] {
        const { assert!(N <= 32, "the MAC has 32 bytes") }
        let full = self.mac(parts);
        std::array::from_fn(|i| full.get(i).copied().unwrap_or_default())
    }
}
