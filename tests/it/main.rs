//! The one integration-test binary. Every test runs on SQLite with everything in one process, and on PostgreSQL with
//! Redis.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests: a failure is a panic"
)]

mod access;
mod audit;
mod auth;
mod contract;
mod crypto;
mod edge;
mod faults;
mod idempotency;
mod members;
mod oauth;
mod orgs;
mod policy;
mod projects;
mod realms;
mod reference;
mod secrets;
mod service_accounts;
mod templates;
mod walks;
mod webhooks;
