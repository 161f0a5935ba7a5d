//! Tables of secrets.

pub mod pin;
pub mod revision;
pub mod secret;
pub mod version;
