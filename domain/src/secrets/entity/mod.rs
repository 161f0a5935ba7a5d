//! Tables of secrets.

pub mod change;
pub mod secret;
pub mod version;
