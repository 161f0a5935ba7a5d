//! Environments.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::projects::environment;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{Environment, EnvironmentPatch, EnvironmentReplacement, NewEnvironment};
use crate::app::App;
use crate::auth::session::Done;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct EnvironmentsApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum EnvironmentCreated {
    /// The environment was made.
    #[oai(status = 201)]
    Created(Json<Environment>),
}

impl EnvironmentsApi {
    async fn change(
        &self,
        caller: &Caller,
        org: &str,
        project: &str,
        env: &str,
        patch: environment::EnvironmentPatch,
    ) -> Result<Json<Environment>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::env::<grant::EnvsManage>(&*tx, caller, org, project, env).await?;
        let env = environment::update(&tx, caller, &access, patch).await?;
        tx.commit(Json(env.into())).await
    }
}

#[OpenApi(tag = "Tag::Environments")]
impl EnvironmentsApi {
    /// List environments
    ///
    /// Those that the caller may know of, in their order.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments",
        method = "get",
        operation_id = "list_environments"
    )]
    async fn list_environments(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<Environment>>, ApiError> {
        let access = access::project::<grant::ProjectsRead>(&self.0.db, &caller, &org, &project).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let environments = environment::list(&self.0.db, &access, page).await?;
        Ok(Json(List::of(environments, Environment::from)))
    }

    /// Make an environment
    ///
    /// Its class decides which roles may read it; an unknown name counts as production.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments",
        method = "post",
        operation_id = "create_environment"
    )]
    async fn create_environment(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        body: Json<NewEnvironment>,
    ) -> Result<EnvironmentCreated, ApiError> {
        let NewEnvironment {
            name,
            slug,
            class,
            protected,
        } = body.0;
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::EnvsManage>(&*tx, &caller, &org, &project).await?;
        let new = environment::NewEnvironment {
            name,
            slug,
            class: class.map(Into::into),
            protected,
        };
        let made = environment::create(&tx, &caller, &access, new).await?;
        tx.commit(EnvironmentCreated::Created(Json(made.into()))).await
    }

    /// Show an environment
    ///
    /// With the number of its last change.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env",
        method = "get",
        operation_id = "get_environment"
    )]
    async fn get_environment(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
    ) -> Result<Json<Environment>, ApiError> {
        let access = access::env::<grant::EnvsRead>(&self.0.db, &caller, &org, &project, &env).await?;
        Ok(Json(environment::get(&self.0.db, &access).await?.into()))
    }

    /// Change an environment
    ///
    /// What is absent stays as it is.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env",
        method = "patch",
        operation_id = "update_environment"
    )]
    async fn update_environment(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        body: Json<EnvironmentPatch>,
    ) -> Result<Json<Environment>, ApiError> {
        self.change(&caller, &org, &project, &env, body.0.into()).await
    }

    /// Replace an environment's settings
    ///
    /// All that can be set, at once.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env",
        method = "put",
        operation_id = "replace_environment"
    )]
    async fn replace_environment(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        body: Json<EnvironmentReplacement>,
    ) -> Result<Json<Environment>, ApiError> {
        self.change(&caller, &org, &project, &env, body.0.into()).await
    }

    /// Delete an environment
    ///
    /// Its secrets go out of reach. A project keeps at least one environment.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env",
        method = "delete",
        operation_id = "delete_environment"
    )]
    async fn delete_environment(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
    ) -> Result<Done, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::env::<grant::EnvsManage>(&*tx, &caller, &org, &project, &env).await?;
        environment::delete(&tx, &caller, &access).await?;
        tx.commit(Done::Done).await
    }
}
