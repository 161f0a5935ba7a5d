//! Tables of service accounts.

pub mod federated_identity;
pub mod service_account;
