//! Everything that is sealed, wrapped, hashed or drawn by lot.
//!
//! Root keys ([`keyring`]) wrap data keys ([`key_store`]), data keys seal values into blobs ([`envelope`]) that are
//! bound to their place ([`aad`]), or streams ([`stream`]). Tokens are stored as MACs ([`token`]), passwords as Argon2id ([`password`]).

pub mod aad;
pub mod aead;
pub mod entity;
pub mod envelope;
pub mod fingerprint;
pub mod key_store;
pub mod keyring;
mod mac;
pub mod password;
pub mod stream;
pub mod token;

pub use aad::{Aad, Purpose};
pub use aead::OpenError;
pub use envelope::{DataKey, SecretField, SecretPlace};
pub use fingerprint::FingerprintKey;
pub use keyring::{KeyringError, RootKeyring};
pub use password::{Passwords, Verdict};
pub use token::{Token, TokenKind, TokenMacKey};

#[cfg(test)]
mod known_answers;
