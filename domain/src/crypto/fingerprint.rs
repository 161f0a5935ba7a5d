//! Fingerprints of secret values: they tell equal from different without decrypting. Never returned to a caller.

use subtle::ConstantTimeEq;

use super::mac::MacKey;

/// Length of a fingerprint, bytes. 128 bits: two values of one project never share one by chance.
pub const FINGERPRINT_LEN: usize = 16;

/// What a value is known by within its project.
pub type Fingerprint = [u8; FINGERPRINT_LEN];

/// A project's own key, so that equal values of two projects cannot be matched.
pub struct FingerprintKey(MacKey);

impl FingerprintKey {
    /// Takes the key's bytes, wiped when dropped.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(MacKey::new(bytes))
    }

    /// The first 16 bytes of HMAC-SHA256 over the value, which may have any length.
    pub fn of(&self, value: &[u8]) -> Fingerprint {
        self.0.mac_short(&[value])
    }

    /// Whether the value has this fingerprint, in constant time.
    pub fn matches(&self, value: &[u8], fingerprint: &[u8]) -> bool {
        same(&self.of(value), fingerprint)
    }
}

/// Whether two fingerprints are equal, in constant time. Stored ones of another length are different.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_equal_from_different() {
        let key = FingerprintKey::new([1; 32]);
        let other = FingerprintKey::new([2; 32]);
        let print = key.of(b"postgres://db");
        assert!(key.matches(b"postgres://db", &print));
        for value in [&b""[..], b"postgres://d", b"postgres://db\0", b"postgres://dB"] {
            assert!(!key.matches(value, &print));
        }
        assert!(!other.matches(b"postgres://db", &print));
        assert!(!same(&print, &print[..15]));
        assert!(!same(&print, &[]));
    }

    #[test]
    fn takes_a_value_of_any_length() {
        let key = FingerprintKey::new([1; 32]);
        let prints: std::collections::BTreeSet<_> = (0..300).map(|len| key.of(&vec![b'a'; len])).collect();
        assert_eq!(prints.len(), 300);
    }
}
