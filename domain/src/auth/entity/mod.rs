//! Tables of accounts.

pub mod challenge;
pub mod credential;
pub mod email;
pub mod second_factor;
pub mod throttle;
pub mod user;
