//! Organisations: the tenants.

pub mod entity;
pub mod organisation;
