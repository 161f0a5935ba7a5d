//! The audit log.

mod list;
mod reads;
mod retention;
mod tampering;
