//! Webhooks: endpoints that listen to the journal, and the deliveries to them.

pub mod delivery;
pub mod disabling;
pub mod endpoint;
pub mod entity;
pub mod overview;
pub mod payload;
pub mod recovering;
pub mod recovery;
pub mod secrets;
pub mod signature;
