//! Accounts: registration, sign-in, sessions, personal tokens, and turning a credential into a caller.

pub mod account;
pub mod authenticate;
pub mod challenge;
pub mod code_sign_in;
pub mod email_first;
pub mod entity;
pub mod ip_allow;
pub mod new_sign_in;
pub mod password_reset;
pub mod recipient;
pub mod register;
pub mod service_key;
pub mod session;
pub mod token;
pub mod verification;

pub use account::Account;
