//! Projects.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::projects::{project, settings};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{NewProject, Project, ProjectPatch, ProjectReplacement};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct ProjectsApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum ProjectCreated {
    /// The project was made.
    #[oai(status = 201)]
    Created(Json<Project>),
}

impl ProjectsApi {
    async fn change(
        &self,
        caller: &Caller,
        org: &str,
        project: &str,
        patch: settings::ProjectPatch,
    ) -> Result<Json<Project>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::ProjectsUpdate>(&*tx, caller, org, project).await?;
        let project = settings::update(&tx, caller, &access, patch).await?;
        tx.commit(Json(project.into())).await
    }
}

#[OpenApi(tag = "Tag::Projects")]
impl ProjectsApi {
    /// Make a project
    ///
    /// With the environments `development`, `staging` and `production`.
    #[oai(path = "/v1/orgs/:org/projects", method = "post", operation_id = "create_project")]
    async fn create_project(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        body: Json<NewProject>,
    ) -> Result<ProjectCreated, ApiError> {
        let NewProject {
            name,
            slug,
            description,
        } = body.0;
        let tx = self.0.begin_write().await?;
        let access = access::org::<grant::ProjectsCreate>(&*tx, &caller, &org).await?;
        let made = project::create(
            &tx,
            &self.0.keys,
            &caller,
            &access,
            &name,
            slug.as_deref(),
            &description,
        )
        .await?;
        tx.commit(ProjectCreated::Created(Json(made.into()))).await
    }

    /// List projects
    ///
    /// Those that the caller may know of, by name, each with the caller's role.
    #[oai(path = "/v1/orgs/:org/projects", method = "get", operation_id = "list_projects")]
    async fn list_projects(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Project>>, ApiError> {
        let access = grant::visible_org::<grant::ProjectsRead>(&self.0.db, &caller, &org).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let projects = project::list(&self.0.db, &access, page).await?;
        Ok(Json(List::of(projects, Project::from)))
    }

    /// Show a project
    ///
    /// With those of its environments that the caller may know of.
    #[oai(
        path = "/v1/orgs/:org/projects/:project",
        method = "get",
        operation_id = "get_project"
    )]
    async fn get_project(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
    ) -> Result<Json<Project>, ApiError> {
        let access = access::project::<grant::ProjectsRead>(&self.0.db, &caller, &org, &project).await?;
        Ok(Json(project::get(&self.0.db, &access).await?.into()))
    }

    /// Change a project
    ///
    /// What is absent stays as it is. Joining can give no more than the caller holds.
    #[oai(
        path = "/v1/orgs/:org/projects/:project",
        method = "patch",
        operation_id = "update_project"
    )]
    async fn update_project(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        body: Json<ProjectPatch>,
    ) -> Result<Json<Project>, ApiError> {
        self.change(&caller, &org, &project, body.0.into()).await
    }

    /// Replace a project's settings
    ///
    /// All that can be set, at once.
    #[oai(
        path = "/v1/orgs/:org/projects/:project",
        method = "put",
        operation_id = "replace_project"
    )]
    async fn replace_project(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        body: Json<ProjectReplacement>,
    ) -> Result<Json<Project>, ApiError> {
        self.change(&caller, &org, &project, body.0.into()).await
    }

    /// Delete a project
    ///
    /// Needs a sign-in of the last ten minutes. From then on it answers as if it were absent; it can be restored.
    #[oai(
        path = "/v1/orgs/:org/projects/:project",
        method = "delete",
        operation_id = "delete_project"
    )]
    async fn delete_project(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::ProjectsDelete>(&*tx, &caller, &org, &project).await?;
        project::delete(&tx, &caller, &access).await?;
        tx.commit(Done::Done).await
    }

    /// Restore a deleted project
    ///
    /// With everything in it.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/restore",
        method = "post",
        operation_id = "restore_project"
    )]
    async fn restore_project(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
    ) -> Result<Json<Project>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = grant::visible_org::<grant::ProjectsRead>(&*tx, &caller, &org).await?;
        let project = project::restore(&tx, &caller, &access, &project).await?;
        tx.commit(Json(project.into())).await
    }
}
