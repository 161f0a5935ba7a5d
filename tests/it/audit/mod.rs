//! The audit log.

mod list;
mod reads;
mod tampering;
