//! Service accounts: identities of machines, their keys, and where those work.

mod accounts;
mod addresses;
mod keys;
mod ranks;
mod reach;

/// Those of the organisation `acme`.
const ACCOUNTS: &str = "/v1/orgs/acme/service-accounts";
