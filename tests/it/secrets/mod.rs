//! Secrets over HTTP.

mod bad_input;
mod bulk;
mod changes;
mod concurrency;
mod formats;
mod key_rotation;
mod limits;
mod linear;
mod listing;
mod model;
mod preconditions;
mod promotion;
mod revisions;
mod roles;
mod statements;
mod together;
mod transfer;
mod values;
mod verifying;
mod versions;
mod warm;
mod watching;
mod write_only;
