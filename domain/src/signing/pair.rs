//! Private keys: made, opened, used.
//!
//! ring draws its own numbers, for the blinding of RSA and the nonces of ECDSA: there is no other source that it takes.
//! It makes no RSA keys; `rsa` does, from the numbers of our [`Rng`].

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use rsa::pkcs8::EncodePrivateKey;
use rsa::rand_core::{TryCryptoRng, TryRng};

use super::{Alg, Jwk};
use crate::kernel::{Error, Result, Rng, Secret};

/// Size of an RSA key, bits. Source: NIST SP 800-131A, good beyond 2030 for keys of months.
const RSA_BITS: usize = 2048;

/// Our numbers, as `rsa` takes them.
struct Chance<'a>(&'a Rng);

#[derive(Debug, thiserror::Error)]
#[error("no random numbers")]
struct NoChance;

impl TryRng for Chance<'_> {
    type Error = NoChance;

    fn try_next_u32(&mut self) -> std::result::Result<u32, NoChance> {
        self.0.bytes().map(u32::from_le_bytes).map_err(|_| NoChance)
    }

    fn try_next_u64(&mut self) -> std::result::Result<u64, NoChance> {
        self.0.bytes().map(u64::from_le_bytes).map_err(|_| NoChance)
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> std::result::Result<(), NoChance> {
        self.0.fill(to).map_err(|_| NoChance)
    }
}

impl TryCryptoRng for Chance<'_> {}

/// Makes a private key, as it is sealed: PKCS#8, or the seed of Ed25519. An RSA key takes a while.
///
/// # Errors
/// [`Error::Internal`] without random numbers.
pub(super) fn generate(alg: Alg, rng: &Rng) -> Result<Secret<Vec<u8>>> {
    let failed = |_| Error::internal("a signing key could not be made");
    let bytes = match alg {
        Alg::Rs256 => {
            let key = rsa::PrivateKey::new(&mut Chance(rng), RSA_BITS)
                .map_err(|e| Error::internal(format!("an RSA key could not be made: {e}")))?;
            let der = key
                .to_pkcs8_der()
                .map_err(|e| Error::internal(format!("an RSA key could not be written: {e}")))?;
            der.as_bytes().to_vec()
        }
        Alg::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(failed)?
            .as_ref()
            .to_vec(),
        Alg::EdDsa => rng.bytes::<32>()?.to_vec(),
    };
    Ok(Secret::new(bytes))
}

/// A private key, ready to sign.
pub(super) enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl Pair {
    /// Opens what [`generate`] made.
    ///
    /// # Errors
    /// [`Error::Internal`] for anything else.
    pub(super) fn open(alg: Alg, bytes: &[u8]) -> Result<Self> {
        let broken = |_| Error::internal("a signing key is stored wrongly");
        Ok(match alg {
            Alg::Rs256 => Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(bytes).map_err(broken)?)),
            Alg::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &SystemRandom::new());
                Self::P256(Box::new(pair.map_err(broken)?))
            }
            Alg::EdDsa => Self::Ed25519(Box::new(Ed25519KeyPair::from_seed_unchecked(bytes).map_err(broken)?)),
        })
    }

    /// Signs.
    ///
    /// # Errors
    /// [`Error::Internal`] without random numbers.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let failed = |_| Error::internal("signing failed");
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
            Self::P256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                Ok(signature.as_ref().to_vec())
            }
            Self::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// The public half.
    ///
    /// # Errors
    /// [`Error::Internal`] when it has an odd length.
    pub(super) fn public(&self) -> Result<Jwk> {
        let odd = || Error::internal("a public key of an odd length");
        match self {
            Self::Rsa(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public());
                Ok(Jwk::Rsa { n, e })
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (_, point) = point.split_first().ok_or_else(odd)?;
                let (x, y) = point.split_first_chunk::<32>().ok_or_else(odd)?;
                Ok(Jwk::P256 {
                    x: *x,
                    y: y.try_into().map_err(|_| odd())?,
                })
            }
            Self::Ed25519(pair) => Ok(Jwk::Ed25519 {
                x: pair.public_key().as_ref().try_into().map_err(|_| odd())?,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_signs_its_public_half_and_no_other_takes() {
        let rng = Rng::seeded(1);
        for alg in Alg::ALL {
            let bytes = generate(alg, &rng).unwrap();
            let pair = Pair::open(alg, bytes.expose()).unwrap();
            let public = pair.public().unwrap();
            assert_eq!(public.alg(), alg);
            let mut signature = pair.sign(b"message").unwrap();
            assert!(public.signed(b"message", &signature), "{alg:?}");
            assert!(!public.signed(b"massage", &signature), "{alg:?}");
            signature[7] ^= 1;
            assert!(!public.signed(b"message", &signature), "{alg:?}");
            let again = Pair::open(alg, bytes.expose()).unwrap();
            assert_eq!(again.public().unwrap().thumbprint(), public.thumbprint());
            assert!(Pair::open(alg, b"x").is_err());
        }
    }
}
