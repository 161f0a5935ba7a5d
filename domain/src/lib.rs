//! The rules of Strongroom, with no HTTP and no Redis in sight.
//!
//! | Room | What is in it |
//! |---|---|
//! | [`kernel`] | ids, clock, chance, problems, pages, configuration, the database handle |
//! | [`crypto`] | root keys, data keys, the envelope, tokens, passwords, fingerprints |
//! | [`access`] | permissions, roles, rules, the one decision, and the loaders that ask it |
//! | [`jobs`] | the queue in the database: emit, claim, finish, sweep, and the bell |
//! | [`journal`] | the hash-chained record of everything, and what listens to it |
//! | [`auth`] [`signing`] [`oauth`] [`orgs`] [`members`] [`policy`] [`service_accounts`] [`realms`] [`projects`] [`templates`] [`secrets`] [`webhooks`] [`mail`] [`setup`] | the product's areas |
//! | [`egress`] | the one outbound HTTP client |
//! | [`idempotency`] | answers kept for requests that are sent twice |
//!
//! Who may use whom, left to right: `kernel ← crypto ← access ← jobs ← journal ← areas`. An area calls another area's
//! functions and never its tables. `tests/it/contract/layers.rs` holds everybody to it.

pub mod access;
pub mod auth;
pub mod crypto;
pub mod egress;
pub mod idempotency;
pub mod jobs;
pub mod journal;
pub mod kernel;
pub mod mail;
pub mod members;
pub mod oauth;
pub mod orgs;
pub mod policy;
pub mod projects;
pub mod realms;
pub mod secrets;
pub mod service_accounts;
pub mod setup;
pub mod signing;
pub mod templates;
pub mod webhooks;
