//! Tables of webhooks.

pub mod secret;
pub mod webhook;
