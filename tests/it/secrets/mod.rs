//! Secrets over HTTP.

mod bulk;
mod changes;
mod concurrency;
mod formats;
mod key_rotation;
mod limits;
mod listing;
mod preconditions;
mod promotion;
mod revisions;
mod roles;
mod transfer;
mod values;
mod verifying;
mod versions;
