//! Tables of roles and access rules.

pub mod access_rule;
pub mod role;
