//! Webhooks: endpoints that listen to the journal, and the deliveries to them.

pub mod delivery;
pub mod endpoint;
pub mod entity;
pub mod payload;
pub mod signature;
