//! Webhooks, and the feed of the same events.

pub mod catalogue;
pub mod delivery_dto;
pub mod dto;
pub mod feed;
pub mod recovery_dto;
#[expect(
    clippy::module_inception,
    reason = "the area and its first resource share the name that the API gives them"
)]
pub mod webhooks;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (webhooks::WebhooksApi, catalogue::CatalogueApi, feed::FeedApi);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        webhooks::WebhooksApi(app.clone()),
        catalogue::CatalogueApi,
        feed::FeedApi(app.clone()),
    )
}
