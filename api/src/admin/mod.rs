//! Administration of the instance: for superusers who are signed in.

pub mod dto;
pub mod orgs;
pub mod plans;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (orgs::AdminOrgsApi, plans::AdminPlansApi);

pub fn apis(app: &Arc<App>) -> Apis {
    (orgs::AdminOrgsApi(app.clone()), plans::AdminPlansApi(app.clone()))
}
