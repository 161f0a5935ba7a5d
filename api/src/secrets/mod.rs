//! Secrets.

pub mod bulk;
mod bulk_entry;
pub mod data_keys;
pub mod dto;
pub mod history;
pub mod promote;
pub mod revisions;
#[expect(
    clippy::module_inception,
    reason = "the area and its first resource share the name that the API gives them"
)]
pub mod secrets;
pub mod transfer;
pub mod versions;
mod watch_stream;
pub mod watching;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (
    secrets::SecretsApi,
    versions::VersionsApi,
    bulk::BulkApi,
    revisions::RevisionsApi,
    promote::PromoteApi,
    transfer::TransferApi,
    data_keys::DataKeysApi,
    watching::WatchApi,
);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        secrets::SecretsApi(app.clone()),
        versions::VersionsApi(app.clone()),
        bulk::BulkApi(app.clone()),
        revisions::RevisionsApi(app.clone()),
        promote::PromoteApi(app.clone()),
        transfer::TransferApi(app.clone()),
        data_keys::DataKeysApi(app.clone()),
        watching::WatchApi(app.clone()),
    )
}
