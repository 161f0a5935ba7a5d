//! Tables of organisations.

pub mod org;
