//! Secrets over HTTP.

mod concurrency;
mod limits;
mod listing;
mod preconditions;
mod roles;
mod values;
mod versions;
