//! Secrets over HTTP.

mod bulk;
mod changes;
mod concurrency;
mod limits;
mod listing;
mod preconditions;
mod promotion;
mod revisions;
mod roles;
mod values;
mod versions;
