//! Secrets over HTTP.

mod bulk;
mod changes;
mod concurrency;
mod formats;
mod limits;
mod listing;
mod preconditions;
mod promotion;
mod revisions;
mod roles;
mod transfer;
mod values;
mod versions;
mod warm;
mod watching;
