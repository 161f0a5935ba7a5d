//! Invitations of all organisations.

use std::sync::Arc;

use domain::access::grant;
use domain::admin::{Superuser, invites};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::members::invite;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::members::invitation_dto::InvitedTo;
use crate::members::invite_dto::{Invite, InviteFilter, InviteStatus, Inviter};
use crate::tags::Tag;

pub struct AdminInvitesApi(pub Arc<App>);

/// An invitation with the place that it leads to, without its token.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AdminInvite {
    /// Id of the invitation: `inv_…`.
    pub id: String,
    /// The organisation that it leads into.
    pub org: InvitedTo,
    /// The project that it leads to; absent for the whole organisation.
    pub project: Option<InvitedTo>,
    /// The address that was invited; absent for an open link.
    pub email: Option<String>,
    /// Name of the role that it gives.
    pub role: String,
    /// Whether whoever accepts becomes a user of the organisation's realm, and no member.
    pub realm: bool,
    /// How it stands.
    pub status: InviteStatus,
    /// How often it was accepted.
    pub uses: i32,
    /// How often it can be accepted.
    pub max_uses: i32,
    /// Who made it, or sent it again last; absent when that account is gone.
    pub invited_by: Option<Inviter>,
    /// When it was made.
    pub created_at: Time,
    /// When it ends.
    pub expires_at: Time,
}

impl From<invite::Invite> for AdminInvite {
    fn from(invite: invite::Invite) -> Self {
        let role = invite.role_name();
        let invite::Invite {
            id,
            org,
            project,
            email,
            canonical: _,
            role_id: _,
            role: _,
            env_classes: _,
            for_realm,
            max_uses,
            uses,
            invited_by: _,
            inviter,
            status,
            token_mac: _,
            created_at,
            given_at: _,
            expires_at,
        } = invite;
        Self {
            id: id.to_string(),
            org: org.into(),
            project: project.map(Into::into),
            email,
            role,
            realm: for_realm,
            status: status.into(),
            uses,
            max_uses,
            invited_by: inviter.map(Into::into),
            created_at: created_at.into(),
            expires_at: expires_at.into(),
        }
    }
}

#[OpenApi(tag = "Tag::Administration")]
impl AdminInvitesApi {
    /// List all invitations
    ///
    /// Of every organisation, newest first. Their tokens are not among what is shown. For superusers, from a session.
    #[oai(path = "/v1/admin/invites", method = "get", operation_id = "list_admin_invites")]
    async fn list_admin_invites(
        &self,
        caller: Caller,
        /// Only those that stand so; those that can be accepted if absent.
        status: Query<Option<InviteFilter>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<AdminInvite>>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let status = status.0.unwrap_or_default().status();
        let found = invites::list(&self.0.db, &superuser, status, page).await?;
        Ok(Json(List::of(found, AdminInvite::from)))
    }

    /// List the invitations to any project
    ///
    /// Those to this very project, newest first. For superusers, from a session.
    #[oai(
        path = "/v1/admin/projects/:project/invites",
        method = "get",
        operation_id = "list_admin_project_invites"
    )]
    async fn list_admin_project_invites(
        &self,
        caller: Caller,
        /// Id of the project: `prj_…`.
        project: Path<String>,
        /// Only those that stand so; those that can be accepted if absent.
        status: Query<Option<InviteFilter>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Invite>>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let project = superuser.project::<grant::MembersInvite>(&self.0.db, &project).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let status = status.0.unwrap_or_default().status();
        let found = invite::list(&self.0.db, &project, status, page).await?;
        Ok(Json(List::of(found, Invite::from)))
    }

    /// Revoke any invitation
    ///
    /// Its tokens stop working at once. One that was accepted cannot be revoked. It stands in the organisation's audit
    /// log. For superusers, from a session.
    #[oai(
        path = "/v1/admin/invites/:invite",
        method = "delete",
        operation_id = "revoke_admin_invite"
    )]
    async fn revoke_admin_invite(
        &self,
        caller: Caller,
        /// Id of the invitation: `inv_…`.
        invite: Path<String>,
    ) -> Result<Done, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        invites::revoke(&tx, &superuser, &invite).await?;
        tx.commit(Done::Done).await
    }
}
