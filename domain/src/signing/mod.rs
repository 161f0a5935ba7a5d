//! Signed tokens: the keys that sign them, with their rotation, and the one place that makes and checks them.
//!
//! A key is published a day before it signs and stays published until every token that it signed has died. Its id is
//! the RFC 7638 thumbprint, so it says which key it is without our word for it. ring signs and checks: its RSA takes
//! the same time whatever the key.

mod alg;
mod claims;
pub mod jwk;
pub mod jws;
pub mod keys;
mod pair;
mod rotation;
mod signer;

pub use alg::Alg;
pub use claims::{Claims, Expectation, Typ};
pub use jwk::Jwk;
pub use keys::{KeyShown, State, list};
pub use rotation::{forget, rotate, tend};
pub use signer::{Signer, jwks, opened, verify};
