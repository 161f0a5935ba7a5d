//! Members of any project.

use std::sync::Arc;

use domain::access::grant;
use domain::admin::{Superuser, members};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::members::change::Change;
use domain::members::member;
use domain::members::place::Place;
use poem_openapi::OpenApi;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;

use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::members::dto::{Assigned, Member, NewMember, RoleAssignment};
use crate::tags::Tag;

pub struct AdminMembersApi(pub Arc<App>);

#[OpenApi(tag = "Tag::Administration")]
impl AdminMembersApi {
    /// List the members of any project
    ///
    /// People and service accounts with a role in this very project, oldest first, then its invitations that are out. For
    /// superusers, from a session.
    #[oai(
        path = "/v1/admin/projects/:project/members",
        method = "get",
        operation_id = "list_admin_project_members"
    )]
    async fn list_admin_project_members(
        &self,
        caller: Caller,
        /// Id of the project: `prj_…`.
        project: Path<String>,
        /// Only those whose address or name contains this, in upper or lower case.
        search: Query<Option<String>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Member>>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let project = superuser.project::<grant::MembersRead>(&self.0.db, &project).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let found = member::list(&self.0.db, &project, search.0.as_deref(), page).await?;
        Ok(Json(List::of(found, Member::from)))
    }

    /// Add somebody to any project
    ///
    /// They need an account. Somebody who is a member already gets this role instead of theirs. A superuser gives no role
    /// to themselves, and a new owner takes a sign-in of the last ten minutes. It stands in the organisation's audit log.
    /// For superusers, from a session.
    #[oai(
        path = "/v1/admin/projects/:project/members",
        method = "post",
        operation_id = "add_admin_project_member"
    )]
    async fn add_admin_project_member(
        &self,
        caller: Caller,
        /// Id of the project: `prj_…`.
        project: Path<String>,
        body: Json<NewMember>,
    ) -> Result<Assigned, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let (who, role) = body.0.into_parts();
        let tx = self.0.begin_write().await?;
        let project = superuser.project::<grant::MembersInvite>(&*tx, &project).await?;
        let scope = project.scope();
        let (who, change) = members::add(&tx, &superuser, project, &who, role).await?;
        let answer = Assigned::new(change, member::get(&*tx, scope, who).await?);
        match change {
            Change::Same => tx.commit_unchanged(answer).await,
            Change::Made | Change::Changed => tx.commit(answer).await,
        }
    }

    /// Change a member's role in any project
    ///
    /// The role takes the place of all that the member has in the project. A superuser gives no role to themselves. It
    /// stands in the organisation's audit log. For superusers, from a session.
    #[oai(
        path = "/v1/admin/projects/:project/members/:member",
        method = "patch",
        operation_id = "update_admin_project_member"
    )]
    async fn update_admin_project_member(
        &self,
        caller: Caller,
        /// Id of the project: `prj_…`.
        project: Path<String>,
        /// Id of the member: `usr_…` or `sa_…`.
        member: Path<String>,
        body: Json<RoleAssignment>,
    ) -> Result<Json<Member>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let project = superuser.project::<grant::MembersSetRole>(&*tx, &project).await?;
        let scope = project.scope();
        let who = members::update(&tx, &superuser, project, &member, body.0.into()).await?;
        let shown = member::get(&*tx, scope, who).await?;
        tx.commit(Json(shown.into())).await
    }

    /// Remove a member from any project
    ///
    /// What they have by a role in the organisation stays. It stands in the organisation's audit log. For superusers, from
    /// a session.
    #[oai(
        path = "/v1/admin/projects/:project/members/:member",
        method = "delete",
        operation_id = "remove_admin_project_member"
    )]
    async fn remove_admin_project_member(
        &self,
        caller: Caller,
        /// Id of the project: `prj_…`.
        project: Path<String>,
        /// Id of the member: `usr_…` or `sa_…`.
        member: Path<String>,
    ) -> Result<Done, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let project = superuser.project::<grant::MembersRemove>(&*tx, &project).await?;
        members::remove(&tx, &superuser, project, &member).await?;
        tx.commit(Done::Done).await
    }
}
