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
mod billing;
mod browser;
mod contract;
mod crypto;
mod edge;
mod faults;
mod idempotency;
mod limits;
mod members;
mod oauth;
mod orgs;
mod policy;
mod projects;
mod rates;
mod realms;
mod reference;
mod request_metrics;
mod secrets;
mod service_accounts;
mod setup;
mod sso;
mod templates;
mod traces;
mod upgrades;
mod walks;
mod webhooks;
