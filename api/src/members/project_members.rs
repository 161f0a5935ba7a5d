//! Members of a project.

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

pub struct ProjectMembersApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Members")]
impl ProjectMembersApi {
    /// List the members of a project
    ///
    /// People and service accounts with a role in this very project, oldest first, then its invitations that are out.
    /// Roles in the organisation reach into the project too; their holders are listed there.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/members",
        method = "get",
        operation_id = "list_project_members"
    )]
    async fn list_project_members(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Only those whose address or name contains this, in upper or lower case.
        search: Query<Option<String>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Member>>, ApiError> {
        let access = access::project::<grant::MembersRead>(&self.0.db, &caller, &org, &project).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let members = member::list(&self.0.db, &access, search.0.as_deref(), page).await?;
        Ok(Json(List::of(members, Member::from)))
    }

    /// Add somebody to a project
    ///
    /// They need an account; for others there are invitations. Somebody who is a member already gets this role instead of
    /// theirs, which needs `members:set_role`. Nobody can give more than they hold, and a new owner takes a sign-in of the
    /// last ten minutes.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/members",
        method = "post",
        operation_id = "add_project_member"
    )]
    async fn add_project_member(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        body: Json<NewMember>,
    ) -> Result<Assigned, ApiError> {
        let (who, role) = body.0.into_parts();
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::MembersInvite>(&*tx, &caller, &org, &project).await?;
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
    /// The role takes the place of all that the member has in the project. Nobody can give more than they hold, or change
    /// somebody who holds more than they do.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/members/:member",
        method = "patch",
        operation_id = "update_project_member"
    )]
    async fn update_project_member(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id of the member: `usr_…` or `sa_…`.
        member: Path<String>,
        body: Json<RoleAssignment>,
    ) -> Result<Json<Member>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::MembersSetRole>(&*tx, &caller, &org, &project).await?;
        let scope = access.scope();
        let who = change::update(&tx, &caller, access, &member, body.0.into()).await?;
        let shown = member::get(&*tx, scope, who).await?;
        tx.commit(Json(shown.into())).await
    }

    /// Remove a member from a project
    ///
    /// What they have by a role in the organisation stays. They are refused from their next request on.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/members/:member",
        method = "delete",
        operation_id = "remove_project_member"
    )]
    async fn remove_project_member(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id of the member: `usr_…` or `sa_…`.
        member: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::MembersRemove>(&*tx, &caller, &org, &project).await?;
        change::remove(&tx, &caller, access, &member).await?;
        tx.commit(Done::Done).await
    }

    /// Join a project
    ///
    /// If it is open; whoever has a role in the organisation can join then.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/join",
        method = "post",
        operation_id = "join_project"
    )]
    async fn join_project(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
    ) -> Result<Joined, ApiError> {
        let tx = self.0.begin_write().await?;
        let (scope, who) = coming::join_project(&tx, &caller, &org, &project).await?;
        let shown = member::get(&*tx, scope, who).await?;
        tx.commit(Joined::Joined(Json(shown.into()))).await
    }

    /// Leave a project
    ///
    /// What the caller has by a role in the organisation stays; that alone cannot be left here.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/leave",
        method = "post",
        operation_id = "leave_project"
    )]
    async fn leave_project(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        coming::leave_project(&tx, &caller, &org, &project).await?;
        tx.commit(Done::Done).await
    }

    /// Hand a project over
    ///
    /// The member becomes an owner of the project; the caller becomes an admin of it, if it was an owner. Both at once.
    /// Needs a sign-in of the last ten minutes.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/transfer-ownership",
        method = "post",
        operation_id = "transfer_project_ownership"
    )]
    async fn transfer_project_ownership(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        body: Json<Heir>,
    ) -> Result<Json<Member>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::ProjectsDelete>(&*tx, &caller, &org, &project).await?;
        let scope = access.scope();
        let heir = ownership::transfer_project(&tx, &caller, access, &body.member).await?;
        let shown = member::get(&*tx, scope, heir).await?;
        tx.commit(Json(shown.into())).await
    }
}
