//! Organisations.

pub mod dto;
pub mod organisations;
