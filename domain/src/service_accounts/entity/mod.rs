//! Tables of service accounts.

pub mod service_account;
