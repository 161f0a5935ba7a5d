//! Invitations to an organisation and to its projects.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::members::{invite, inviting};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::invite_dto::{CreatedInvite, Invite, InviteCreated, InviteFilter, NewInvite};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct OrgInvitesApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Members")]
impl OrgInvitesApi {
    /// List the invitations of an organisation
    ///
    /// Those to its projects too, newest first. Their tokens are not among what is shown.
    #[oai(path = "/v1/orgs/:org/invites", method = "get", operation_id = "list_invites")]
    async fn list_invites(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Only those that stand so; those that can be accepted if absent.
        status: Query<Option<InviteFilter>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Invite>>, ApiError> {
        let access = access::org::<grant::MembersInvite>(&self.0.db, &caller, &org).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let status = status.0.unwrap_or_default().status();
        let invites = invite::list(&self.0.db, &access, status, page).await?;
        Ok(Json(List::of(invites, Invite::from)))
    }

    /// Invite somebody to an organisation
    ///
    /// An address, by a mail with a link that verifies the address and makes an account where there is none; or, without
    /// `email`, whoever is given the link that is answered. Nobody can invite to more than they hold, and an invitation is
    /// void once whoever made it could no longer make it; inviting an owner takes a sign-in of the last ten minutes. With
    /// `project` it leads to that project alone. Beyond three mails an hour to one address it is refused.
    #[oai(path = "/v1/orgs/:org/invites", method = "post", operation_id = "create_invite")]
    async fn create_invite(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<NewInvite>,
    ) -> Result<InviteCreated, ApiError> {
        let (project, new) = body.0.into_parts();
        let (tx, macs) = (self.0.begin_write().await?, self.0.keys.token_mac());
        let access = access::org::<grant::MembersInvite>(&*tx, &caller, &org).await?;
        let issued = match project {
            None => inviting::create(&tx, macs, &caller, access, new).await?,
            Some(project) => {
                let inside = inviting::in_project(&tx, &caller, &access, &project).await?;
                inviting::create(&tx, macs, &caller, inside, new).await?
            }
        };
        let created = CreatedInvite::new(&self.0.base_url, issued);
        tx.commit(InviteCreated::Created(Json(created))).await
    }

    /// Send an invitation again
    ///
    /// For as long as it was first given, under new tokens: those before stop working. An expired one is pending again.
    /// From now on the caller stands behind it, and so must hold what it gives.
    #[oai(
        path = "/v1/orgs/:org/invites/:invite/resend",
        method = "post",
        operation_id = "resend_invite"
    )]
    async fn resend_invite(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the invitation: `inv_…`.
        invite: Path<String>,
    ) -> Result<Json<CreatedInvite>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::MembersInvite>(&*tx, &caller, &org).await?;
        let issued = inviting::resend(&tx, self.0.keys.token_mac(), &caller, access, &invite).await?;
        tx.commit(Json(CreatedInvite::new(&self.0.base_url, issued))).await
    }

    /// Revoke an invitation
    ///
    /// Its tokens stop working at once. One that was accepted cannot be revoked; remove the member.
    #[oai(
        path = "/v1/orgs/:org/invites/:invite",
        method = "delete",
        operation_id = "revoke_invite"
    )]
    async fn revoke_invite(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the invitation: `inv_…`.
        invite: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::MembersInvite>(&*tx, &caller, &org).await?;
        inviting::revoke(&tx, &caller, access, &invite).await?;
        tx.commit(Done::Done).await
    }
}
