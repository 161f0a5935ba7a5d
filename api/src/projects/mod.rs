//! Projects and their environments.

pub mod dto;
pub mod environments;
#[expect(
    clippy::module_inception,
    reason = "the area and its first resource share the name that the API gives them"
)]
pub mod projects;

use std::sync::Arc;

use crate::app::App;

/// The operations of this area.
pub type Apis = (projects::ProjectsApi, environments::EnvironmentsApi);

pub fn apis(app: &Arc<App>) -> Apis {
    (
        projects::ProjectsApi(app.clone()),
        environments::EnvironmentsApi(app.clone()),
    )
}
