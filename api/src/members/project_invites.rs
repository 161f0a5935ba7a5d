//! The same invitations, seen from one project.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::members::{invite, inviting};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::invite_dto::{CreatedInvite, Invite, InviteCreated, InviteFilter, NewProjectInvite};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct ProjectInvitesApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Members")]
impl ProjectInvitesApi {
    /// List the invitations to a project
    ///
    /// Those to this very project, newest first. Their tokens are not among what is shown.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/invites",
        method = "get",
        operation_id = "list_project_invites"
    )]
    async fn list_project_invites(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Only those that stand so; those that can be accepted if absent.
        status: Query<Option<InviteFilter>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Invite>>, ApiError> {
        let access = access::project::<grant::MembersInvite>(&self.0.db, &caller, &org, &project).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let status = status.0.unwrap_or_default().status();
        let invites = invite::list(&self.0.db, &access, status, page).await?;
        Ok(Json(List::of(invites, Invite::from)))
    }

    /// Invite somebody to a project
    ///
    /// An address, by a mail with a link that verifies the address and makes an account where there is none; or, without
    /// `email`, whoever is given the link that is answered. Nobody can invite to more than they hold, and an invitation is
    /// void once whoever made it could no longer make it; inviting an owner takes a sign-in of the last ten minutes. Beyond
    /// three mails an hour to one address it is refused.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/invites",
        method = "post",
        operation_id = "create_project_invite"
    )]
    async fn create_project_invite(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        body: Json<NewProjectInvite>,
    ) -> Result<InviteCreated, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::MembersInvite>(&*tx, &caller, &org, &project).await?;
        let issued = inviting::create(&tx, self.0.keys.token_mac(), &caller, access, body.0.into()).await?;
        let created = CreatedInvite::new(&self.0.base_url, issued);
        tx.commit(InviteCreated::Created(Json(created))).await
    }

    /// Send an invitation to a project again
    ///
    /// For as long as it was first given, under new tokens: those before stop working. An expired one is pending again.
    /// From now on the caller stands behind it, and so must hold what it gives.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/invites/:invite/resend",
        method = "post",
        operation_id = "resend_project_invite"
    )]
    async fn resend_project_invite(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id of the invitation: `inv_…`.
        invite: Path<String>,
    ) -> Result<Json<CreatedInvite>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::MembersInvite>(&*tx, &caller, &org, &project).await?;
        let issued = inviting::resend(&tx, self.0.keys.token_mac(), &caller, access, &invite).await?;
        tx.commit(Json(CreatedInvite::new(&self.0.base_url, issued))).await
    }

    /// Revoke an invitation to a project
    ///
    /// Its tokens stop working at once. One that was accepted cannot be revoked; remove the member.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/invites/:invite",
        method = "delete",
        operation_id = "revoke_project_invite"
    )]
    async fn revoke_project_invite(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id of the invitation: `inv_…`.
        invite: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::MembersInvite>(&*tx, &caller, &org, &project).await?;
        inviting::revoke(&tx, &caller, access, &invite).await?;
        tx.commit(Done::Done).await
    }
}
