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
mod admin;
mod audit;
mod auth;
mod backups;
mod contract;
mod crypto;
mod edge;
mod faults;
mod idempotency;
mod members;
mod orgs;
mod policy;
mod projects;
mod reference;
mod secrets;
mod service_accounts;
mod setup;
mod templates;
mod walks;
mod webhooks;
