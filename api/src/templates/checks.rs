//! What a template says of the environments of its project.

use std::sync::Arc;

use domain::access::{self, ProjectEnvs, grant};
use domain::templates::{example, validate};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::{Json, PlainText};
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{ExampleFormat, TemplateReport};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::tags::Tag;

pub struct TemplateChecksApi(pub Arc<App>);

#[derive(ApiResponse)]
pub enum EnvExample {
    /// The file.
    #[oai(status = 200)]
    Ok(PlainText<String>),
}

#[OpenApi(tag = "Tag::Templates")]
impl TemplateChecksApi {
    /// Validate environments against the template
    ///
    /// One, or all of the project that the caller may read, each as it is now: what is missing, empty, invalid, and
    /// there without being in the template. Values are opened for it and never shown; the read is recorded in the audit
    /// log before it is answered.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/template/validate",
        method = "get",
        operation_id = "validate_template"
    )]
    async fn validate_template(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of an environment. Absent: all of them.
        environment: Query<Option<String>>,
    ) -> Result<Json<TemplateReport>, ApiError> {
        let db = &self.0.db;
        let environments = match &environment.0 {
            Some(env) => ProjectEnvs::only(access::env::<grant::SecretsRead>(db, &caller, &org, &project, env).await?),
            None => access::envs::<grant::SecretsRead>(db, &caller, &org, &project).await?,
        };
        let checked = &environments.granted;
        let reports = validate::validate(db, &self.0.keys, environments.project.id, checked).await?;
        let event = validate::event(&caller, checked, &reports)?;
        self.0.reads.record(event).await?;
        Ok(Json(TemplateReport::of(reports, &environments)))
    }

    /// Write an example of a `.env` file
    ///
    /// Of the template: each key with its description, whether it is required, and its default. It holds no secret. It
    /// needs the permission to read secrets in some environment of the project.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/template/env-example",
        method = "get",
        operation_id = "get_env_example"
    )]
    async fn get_env_example(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of an environment: only keys that count there. Absent: all keys.
        environment: Query<Option<String>>,
        /// The format; `dotenv` if absent.
        format: Query<Option<ExampleFormat>>,
    ) -> Result<EnvExample, ApiError> {
        let environments = access::envs::<grant::SecretsRead>(&self.0.db, &caller, &org, &project).await?;
        let name = environment.0.as_deref();
        let text = match format.0.unwrap_or_default() {
            ExampleFormat::Dotenv => example::env_example(&self.0.db, &environments, name).await?,
        };
        Ok(EnvExample::Ok(PlainText(text)))
    }
}
