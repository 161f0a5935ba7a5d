//! Tables of mail.

pub mod mail;
