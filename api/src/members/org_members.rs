//! Members of an organisation.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::members::change::{self, Change};
use domain::members::place::Place;
use domain::members::{coming, member, ownership};
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use super::dto::{Assigned, Heir, Joined, Member, NewMember, RoleAssignment};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct OrgMembersApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Members")]
impl OrgMembersApi {
    /// List the members of an organisation
    ///
    /// People and service accounts with a role in the whole organisation, oldest first, then the invitations that are
    /// out. Who is in single projects only is listed there.
    #[oai(path = "/v1/orgs/:org/members", method = "get", operation_id = "list_members")]
    async fn list_members(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Only those whose address or name contains this, in upper or lower case.
        search: Query<Option<String>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Member>>, ApiError> {
        let access = access::org::<grant::MembersRead>(&self.0.db, &caller, &org).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let members = member::list(&self.0.db, &access, search.0.as_deref(), page).await?;
        Ok(Json(List::of(members, Member::from)))
    }

    /// Add somebody to an organisation
    ///
    /// They need an account; for others there are invitations. Somebody who is a member already gets this role instead of
    /// theirs, which needs `members:set_role`. Nobody can give more than they hold, and a new owner takes a sign-in of the
    /// last ten minutes.
    #[oai(path = "/v1/orgs/:org/members", method = "post", operation_id = "add_member")]
    async fn add_member(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<NewMember>,
    ) -> Result<Assigned, ApiError> {
        let (who, role) = body.0.into_parts();
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::MembersInvite>(&*tx, &caller, &org).await?;
        let scope = access.scope();
        let (who, change) = change::add(&tx, &caller, access, &who, role).await?;
        let answer = Assigned::new(change, member::get(&*tx, scope, who).await?);
        match change {
            Change::Same => tx.commit_unchanged(answer).await,
            Change::Made | Change::Changed => tx.commit(answer).await,
        }
    }

    /// Change a member's role
    ///
    /// The role takes the place of all that the member has in the organisation. Nobody can give more than they hold, or change
    /// somebody who holds more than they do; the last owner stays one.
    #[oai(
        path = "/v1/orgs/:org/members/:member",
        method = "patch",
        operation_id = "update_member"
    )]
    async fn update_member(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the member: `usr_…` or `sa_…`.
        member: Path<String>,
        body: Json<RoleAssignment>,
    ) -> Result<Json<Member>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::MembersSetRole>(&*tx, &caller, &org).await?;
        let scope = access.scope();
        let who = change::update(&tx, &caller, access, &member, body.0.into()).await?;
        let shown = member::get(&*tx, scope, who).await?;
        tx.commit(Json(shown.into())).await
    }

    /// Remove a member from an organisation
    ///
    /// With every role in the organisation and in its projects, the access rules about them, and their tokens that work in
    /// it alone. They are refused from their next request on. The last owner cannot be removed.
    #[oai(
        path = "/v1/orgs/:org/members/:member",
        method = "delete",
        operation_id = "remove_member"
    )]
    async fn remove_member(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the member: `usr_…` or `sa_…`.
        member: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::MembersRemove>(&*tx, &caller, &org).await?;
        change::remove(&tx, &caller, access, &member).await?;
        tx.commit(Done::Done).await
    }

    /// Give a member one more role
    ///
    /// A role that they hold already is held as asked for from now on, for example for longer.
    #[oai(
        path = "/v1/orgs/:org/members/:member/roles",
        method = "post",
        operation_id = "add_member_role"
    )]
    async fn add_member_role(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the member: `usr_…` or `sa_…`.
        member: Path<String>,
        body: Json<RoleAssignment>,
    ) -> Result<Assigned, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::MembersSetRole>(&*tx, &caller, &org).await?;
        let scope = access.scope();
        let (who, change) = change::add_role(&tx, &caller, access, &member, body.0.into()).await?;
        let answer = Assigned::new(change, member::get(&*tx, scope, who).await?);
        match change {
            Change::Same => tx.commit_unchanged(answer).await,
            Change::Made | Change::Changed => tx.commit(answer).await,
        }
    }

    /// Take a role from a member
    ///
    /// Their only one cannot be taken; remove the member instead.
    #[oai(
        path = "/v1/orgs/:org/members/:member/roles/:role",
        method = "delete",
        operation_id = "remove_member_role"
    )]
    async fn remove_member_role(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id of the member: `usr_…` or `sa_…`.
        member: Path<String>,
        /// Name or id of the role.
        role: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::MembersSetRole>(&*tx, &caller, &org).await?;
        change::remove_role(&tx, &caller, access, &member, &role).await?;
        tx.commit(Done::Done).await
    }

    /// Join an organisation
    ///
    /// If it is open, or open to a domain in which the caller has a verified address. To anybody else who does not know of
    /// it, it answers as if it were absent.
    #[oai(path = "/v1/orgs/:org/join", method = "post", operation_id = "join_org")]
    async fn join_org(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Joined, ApiError> {
        let tx = self.0.begin_write().await?;
        let (scope, who) = coming::join_org(&tx, &caller, &org).await?;
        let shown = member::get(&*tx, scope, who).await?;
        tx.commit(Joined::Joined(Json(shown.into()))).await
    }

    /// Leave an organisation
    ///
    /// With every role in it and in its projects, and the tokens that work in it alone. The last owner cannot leave.
    #[oai(path = "/v1/orgs/:org/leave", method = "post", operation_id = "leave_org")]
    async fn leave_org(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        coming::leave_org(&tx, &caller, &org).await?;
        tx.commit(Done::Done).await
    }

    /// Hand an organisation over
    ///
    /// The member becomes an owner, the caller an admin, both at once. Needs a sign-in of the last ten minutes.
    #[oai(
        path = "/v1/orgs/:org/transfer-ownership",
        method = "post",
        operation_id = "transfer_org_ownership"
    )]
    async fn transfer_org_ownership(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<Heir>,
    ) -> Result<Json<Member>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::OrgDelete>(&*tx, &caller, &org).await?;
        let scope = access.scope();
        let heir = ownership::transfer_org(&tx, &caller, access, &body.member).await?;
        let shown = member::get(&*tx, scope, heir).await?;
        tx.commit(Json(shown.into())).await
    }
}
