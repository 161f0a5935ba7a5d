//! People of an organisation or project: memberships, invitations, joining, leaving, handing over.

pub mod dto;
pub mod invitation_dto;
pub mod invitations;
pub mod invite_dto;
pub mod org_invites;
pub mod org_members;
pub mod project_invites;
pub mod project_members;

use std::sync::Arc;

use invitations::InvitationsApi;
use org_invites::OrgInvitesApi;
use org_members::OrgMembersApi;
use project_invites::ProjectInvitesApi;
use project_members::ProjectMembersApi;

use crate::app::App;

/// The operations of this area.
pub type Apis = (
    OrgMembersApi,
    ProjectMembersApi,
    OrgInvitesApi,
    ProjectInvitesApi,
    InvitationsApi,
);

/// The operations of this area over an application.
pub fn apis(app: &Arc<App>) -> Apis {
    (
        OrgMembersApi(app.clone()),
        ProjectMembersApi(app.clone()),
        OrgInvitesApi(app.clone()),
        ProjectInvitesApi(app.clone()),
        InvitationsApi(app.clone()),
    )
}
