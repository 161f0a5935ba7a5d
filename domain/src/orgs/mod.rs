//! Organisations: the tenants.

pub mod audit;
pub mod entity;
pub mod joining;
pub mod organisation;
pub mod plan;
pub mod purge;
pub mod settings;
