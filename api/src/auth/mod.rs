//! Registration, sign-in, sessions, personal tokens.

pub mod account;
pub mod dto;
pub mod session;
pub mod tokens;
