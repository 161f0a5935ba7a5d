//! Tables of organisations.

pub mod membership;
pub mod org;
