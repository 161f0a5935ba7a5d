//! Tables of single sign-on.

pub mod identity;
pub mod provider;
