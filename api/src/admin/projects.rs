//! Projects of all organisations.

use std::sync::Arc;

use domain::access::grant;
use domain::admin::{Superuser, projects};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct AdminProjectsApi(pub Arc<App>);

/// The organisation that something belongs to.
#[derive(Clone, Debug, Object)]
pub struct AdminOrgReference {
    /// Id of the organisation: `org_…`.
    pub id: String,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
}

/// A project with what is in it, counted.
#[derive(Clone, Debug, Object)]
pub struct AdminProject {
    /// Id of the project: `prj_…`.
    pub id: String,
    /// Its name in the paths of its organisation.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// The organisation that it belongs to.
    pub org: AdminOrgReference,
    /// People and service accounts with a role in this very project.
    pub members: i64,
    /// Its environments.
    pub environments: i64,
    /// Secrets in them, each counted once whatever its versions.
    pub secrets: i64,
    /// When it was made.
    pub created_at: Time,
    /// When its settings last changed.
    pub updated_at: Time,
}

impl From<projects::Project> for AdminProject {
    fn from(project: projects::Project) -> Self {
        let projects::Project {
            id,
            slug,
            name,
            description,
            org_id,
            org_slug,
            org_name,
            members,
            environments,
            secrets,
            created_at,
            updated_at,
        } = project;
        Self {
            id: id.to_string(),
            slug,
            name,
            description,
            org: AdminOrgReference {
                id: org_id.to_string(),
                slug: org_slug,
                name: org_name,
            },
            members,
            environments,
            secrets,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// What a project is to be called. What is absent stays as it is.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct AdminProjectPatch {
    /// 1 to 200 characters.
    pub name: Option<String>,
    /// Up to 2000 characters.
    pub description: Option<String>,
}

impl From<AdminProjectPatch> for projects::ProjectPatch {
    fn from(patch: AdminProjectPatch) -> Self {
        let AdminProjectPatch { name, description } = patch;
        Self { name, description }
    }
}

#[OpenApi(tag = "Tag::Administration")]
impl AdminProjectsApi {
    /// List all projects
    ///
    /// Of every organisation, by name. For superusers, from a session.
    #[oai(path = "/v1/admin/projects", method = "get", operation_id = "list_admin_projects")]
    async fn list_admin_projects(
        &self,
        caller: Caller,
        /// Only those with this in their name or slug, or in their organisation's, in upper or lower case.
        search: Query<Option<String>>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<AdminProject>>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let found = projects::list(&self.0.db, &superuser, search.0.as_deref(), page).await?;
        Ok(Json(List::of(found, AdminProject::from)))
    }

    /// Show any project
    ///
    /// With what is in it, counted. For superusers, from a session.
    #[oai(
        path = "/v1/admin/projects/:project",
        method = "get",
        operation_id = "get_admin_project"
    )]
    async fn get_admin_project(
        &self,
        caller: Caller,
        /// Id of the project: `prj_…`.
        project: Path<String>,
    ) -> Result<Json<AdminProject>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let project = superuser.project::<grant::ProjectsRead>(&self.0.db, &project).await?;
        Ok(Json(projects::get(&self.0.db, &project).await?.into()))
    }

    /// Change any project
    ///
    /// What it is called. It stands in its organisation's audit log. For superusers, from a session.
    #[oai(
        path = "/v1/admin/projects/:project",
        method = "patch",
        operation_id = "update_admin_project"
    )]
    async fn update_admin_project(
        &self,
        caller: Caller,
        /// Id of the project: `prj_…`.
        project: Path<String>,
        body: Json<AdminProjectPatch>,
    ) -> Result<Json<AdminProject>, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let project = superuser.project::<grant::ProjectsUpdate>(&*tx, &project).await?;
        let changed = projects::update(&tx, &superuser, &project, body.0.into()).await?;
        tx.commit(Json(changed.into())).await
    }

    /// Delete any project
    ///
    /// From then on it answers as if it were absent; an owner of its organisation can restore it. It stands in the
    /// organisation's audit log. Needs a sign-in of the last ten minutes. For superusers, from a session.
    #[oai(
        path = "/v1/admin/projects/:project",
        method = "delete",
        operation_id = "delete_admin_project"
    )]
    async fn delete_admin_project(
        &self,
        caller: Caller,
        /// Id of the project: `prj_…`.
        project: Path<String>,
    ) -> Result<Done, ApiError> {
        let superuser = Superuser::require(&caller)?;
        let tx = self.0.begin_write().await?;
        let project = superuser.project::<grant::ProjectsDelete>(&*tx, &project).await?;
        projects::delete(&tx, &superuser, &project).await?;
        tx.commit(Done::Done).await
    }
}
