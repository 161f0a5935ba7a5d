//! Signing in with an identity provider of others: one for the instance, which its superusers set up and whose word on
//! e-mail addresses counts, and one for each organisation, whose word counts in that organisation alone.
//!
//! Who somebody is, is the provider's issuer and its `sub`, never an address. An account that is there already is joined
//! with an identity only by its own person, signed in; or, by the instance's provider, when both sides have the address
//! verified and the account has no password that would be passed by.

pub mod attempt;
pub mod connection;
pub mod entity;
pub mod identity;
pub mod next;
pub mod person;
pub mod probe;
pub mod provider;
pub mod refusal;
pub mod session;
pub mod settings;
pub mod sign_in;

pub use attempt::prune;
pub use provider::{Place, Provider};
