//! Realms: an organisation's application has users of its own, who are no accounts of this platform. They hold roles
//! whose permissions are the application's, sign in for signed tokens, and open nothing here.
//!
//! They have tables of their own, so that no question about accounts of the platform can meet one of them; their tokens
//! name the realm as issuer and the organisation as audience, so that none passes for a token of the platform's.

pub mod authorize;
pub mod change;
pub mod invitation;
mod password;
pub mod realm;
mod refresh;
pub mod roles;
pub mod sign_in;
pub mod token;
pub mod tokens;
pub mod user;

pub use realm::Realm;
pub use user::{RealmUser, Status};
