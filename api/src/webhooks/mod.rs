//! Webhooks.

pub mod catalogue;
pub mod delivery_dto;
pub mod dto;
pub mod recovery_dto;
#[expect(
    clippy::module_inception,
    reason = "the area and its first resource share the name that the API gives them"
)]
pub mod webhooks;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = webhooks::WebhooksApi;

pub fn apis(app: &Arc<App>) -> Apis {
    webhooks::WebhooksApi(app.clone())
}
