//! Organisations.

mod deletion;
mod organisations;
mod purge;
