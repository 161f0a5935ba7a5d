//! Tables of accounts.

pub mod challenge;
pub mod credential;
pub mod email;
pub mod user;
