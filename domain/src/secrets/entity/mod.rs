//! Tables of secrets.

pub mod change;
pub mod pin;
pub mod revision;
pub mod secret;
pub mod version;
