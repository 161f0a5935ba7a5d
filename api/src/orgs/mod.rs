//! Organisations.

pub mod dto;
pub mod organisations;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = organisations::OrgsApi;

pub fn apis(app: &Arc<App>) -> Apis {
    organisations::OrgsApi(app.clone())
}
