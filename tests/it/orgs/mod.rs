//! Organisations.

mod deletion;
mod organisations;
