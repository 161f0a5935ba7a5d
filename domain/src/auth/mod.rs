//! Accounts: registration, sign-in, sessions, personal tokens, and turning a credential into a caller.

pub mod account;
pub mod address;
pub mod amr;
pub mod authenticate;
pub mod challenge;
mod claim;
pub mod code_sign_in;
pub mod deletion;
pub mod email_first;
pub mod entity;
pub mod ip_allow;
mod known_place;
mod mail_limit;
pub mod new_sign_in;
pub mod password;
pub mod password_reset;
pub mod pending;
pub mod personal_token;
pub mod profile;
pub mod recipient;
pub mod recovery;
pub mod refresh;
pub mod register;
pub mod search;
pub mod second_factor;
pub mod service_key;
pub mod session;
pub mod sessions;
pub mod sudo;
pub mod superusers;
pub mod throttle;
pub mod token;
pub mod totp;
pub mod verification;
pub mod verified_address;

pub use account::Account;
