//! People of an organisation or project: memberships, invitations, joining, leaving, handing over.

pub mod dto;
pub mod org_members;
pub mod project_members;

use std::sync::Arc;

use org_members::OrgMembersApi;
use project_members::ProjectMembersApi;

use crate::app::App;

/// The operations of this area.
pub type Apis = (OrgMembersApi, ProjectMembersApi);

/// The operations of this area over an application.
pub fn apis(app: &Arc<App>) -> Apis {
    (OrgMembersApi(app.clone()), ProjectMembersApi(app.clone()))
}
