//! What superusers do: they look after the instance, from a session, and see no secret value.

pub mod dto;
pub mod instance;
pub mod invites;
pub mod job_dto;
pub mod jobs;
pub mod members;
pub mod metrics;
pub mod oidc;
pub mod orgs;
pub mod plans;
pub mod projects;
pub mod users;

use std::sync::Arc;

use instance::InstanceApi;
use invites::AdminInvitesApi;
use jobs::AdminJobsApi;
use members::AdminMembersApi;
use metrics::AdminMetricsApi;
use oidc::AdminOidcApi;
use orgs::AdminOrgsApi;
use plans::AdminPlansApi;
use projects::AdminProjectsApi;
use users::AdminUsersApi;

use crate::app::App;

/// The operations of this area.
pub type Apis = (
    InstanceApi,
    AdminUsersApi,
    AdminProjectsApi,
    AdminMembersApi,
    AdminInvitesApi,
    AdminJobsApi,
    AdminMetricsApi,
    AdminOrgsApi,
    AdminPlansApi,
    AdminOidcApi,
);

/// The operations of this area over an application.
pub fn apis(app: &Arc<App>) -> Apis {
    (
        InstanceApi(app.clone()),
        AdminUsersApi(app.clone()),
        AdminProjectsApi(app.clone()),
        AdminMembersApi(app.clone()),
        AdminInvitesApi(app.clone()),
        AdminJobsApi(app.clone()),
        AdminMetricsApi(app.clone()),
        AdminOrgsApi(app.clone()),
        AdminPlansApi(app.clone()),
        AdminOidcApi(app.clone()),
    )
}
