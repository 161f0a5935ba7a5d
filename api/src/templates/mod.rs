//! Templates of projects.

pub mod checks;
pub mod dto;
pub mod keys;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (keys::TemplateKeysApi, checks::TemplateChecksApi);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        keys::TemplateKeysApi(app.clone()),
        checks::TemplateChecksApi(app.clone()),
    )
}
