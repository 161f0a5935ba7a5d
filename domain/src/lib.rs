//! The rules of Strongroom, with no HTTP and no Redis in sight.
//!
//! | Room | What is in it |
//! |---|---|
//! | [`kernel`] | ids, clock, chance, problems, pages, configuration, the database handle |
//! | [`crypto`] | root keys, data keys, the envelope, tokens, passwords, fingerprints |
//! | [`access`] | permissions, roles, rules, the one decision, and the loaders that ask it |
//! | [`jobs`] | the queue in the database: emit, claim, finish, sweep, and the bell |
//! | [`journal`] | the hash-chained record of everything, and what listens to it |
//! | [`auth`] [`signing`] [`oauth`] [`sso`] [`orgs`] [`members`] [`policy`] [`service_accounts`] [`realms`] [`projects`] [`templates`] [`secrets`] [`webhooks`] [`limits`] [`billing`] [`mail`] [`setup`] [`admin`] [`backups`] | the product's areas |
//! | [`egress`] | the one outbound HTTP client |
//! | [`foreign`] | tokens of other issuers: their settings, their keys, the check |
//! | [`idempotency`] | answers kept for requests that are sent twice |
//! | [`rates`] [`request_metrics`] | how many requests are answered; how many came, how they ended, how long they took |
//! | [`metrics`] | what a process counts, and how it is shown; it knows nothing of the others |
//!
//! Who may use whom, left to right: `kernel ← crypto ← access ← jobs ← journal ← areas`. An area calls another area's
//! functions and never its tables. `tests/it/contract/layers.rs` holds everybody to it.

pub mod access;
pub mod admin;
pub mod auth;
pub mod backups;
pub mod billing;
pub mod crypto;
pub mod egress;
pub mod foreign;
pub mod idempotency;
pub mod jobs;
pub mod journal;
pub mod kernel;
pub mod limits;
pub mod mail;
pub mod members;
pub mod metrics;
pub mod oauth;
pub mod orgs;
pub mod policy;
pub mod projects;
pub mod rates;
pub mod realms;
pub mod request_metrics;
pub mod secrets;
pub mod service_accounts;
pub mod setup;
pub mod signing;
pub mod sso;
pub mod templates;
pub mod webhooks;
