//! Tables of webhooks.

pub mod recovery;
pub mod secret;
pub mod webhook;
