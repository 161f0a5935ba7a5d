//! Plans, what an organisation uses of its own, and what a smaller one would mean.

pub mod billing;
pub mod dto;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = billing::BillingApi;

pub fn apis(app: &Arc<App>) -> Apis {
    billing::BillingApi(app.clone())
}
