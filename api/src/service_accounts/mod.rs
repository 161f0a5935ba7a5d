//! Service accounts and their keys.

pub mod accounts;
pub mod dto;
pub mod federated;
pub mod keys;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (
    accounts::ServiceAccountsApi,
    keys::ServiceKeysApi,
    federated::FederatedIdentitiesApi,
);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        accounts::ServiceAccountsApi(app.clone()),
        keys::ServiceKeysApi(app.clone()),
        federated::FederatedIdentitiesApi(app.clone()),
    )
}
