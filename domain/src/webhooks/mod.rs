//! Webhooks: endpoints that listen to the journal, and the deliveries to them; and the feed of the same events.

pub mod catalogue;
pub mod delivery;
pub mod disabling;
pub mod endpoint;
pub mod entity;
mod facts;
pub mod feed;
pub mod followers;
pub mod overview;
pub mod payload;
pub mod recovering;
pub mod recovery;
pub mod secrets;
pub mod signature;
