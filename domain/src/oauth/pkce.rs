//! Proof that whoever trades a code is who asked for it (RFC 7636). Only S256: a plain challenge is the proof itself.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whether a text is a challenge: SHA-256 in base64url.
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43 && URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// Whether a verifier fits a challenge.
pub fn fits(verifier: &str, challenge: &str) -> bool {
    let is_verifier = (43..=128).contains(&verifier.len())
        && verifier
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'));
    let hashed = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    is_verifier && bool::from(hashed.as_bytes().ct_eq(challenge.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_vector_of_the_standard_fits_and_nothing_else_does() {
        assert!(is_challenge(CHALLENGE) && fits(VERIFIER, CHALLENGE));
        for verifier in [
            "",
            &VERIFIER[1..],
            &format!("{VERIFIER}a"),
            CHALLENGE,
            &format!("{VERIFIER} "),
            &"a".repeat(129),
        ] {
            assert!(!fits(verifier, CHALLENGE), "{verifier}");
        }
        assert!(!fits(VERIFIER, VERIFIER), "no plain challenge");
        for challenge in [
            "",
            &CHALLENGE[1..],
            &format!("{CHALLENGE}="),
            &CHALLENGE.replace('-', "+"),
        ] {
            assert!(!is_challenge(challenge), "{challenge}");
        }
    }
}
