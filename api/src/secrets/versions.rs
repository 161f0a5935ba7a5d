//! Versions of one secret.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::secrets::{read, version, write};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{RollbackSecret, SecretValue, SecretVersion};
use super::secrets::{SecretWritten, answer, precondition};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::ready_json::ReadyJson;
use crate::tags::Tag;

pub struct VersionsApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum Destroyed {
    /// The value is gone for good.
    #[oai(status = 204)]
    Done,
}

#[OpenApi(tag = "Tag::Secrets")]
impl VersionsApi {
    /// List a secret's versions
    ///
    /// Newest first, without values: who wrote each, and when.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets/:key/versions",
        method = "get",
        operation_id = "list_secret_versions"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn list_secret_versions(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// The key.
        key: Path<String>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<SecretVersion>>, ApiError> {
        let access = access::key::<grant::SecretsList>(&self.0.db, &caller, &org, &project, &env, &key).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let versions = version::list(&self.0.db, &access, &key, page).await?;
        Ok(Json(List::of(versions, SecretVersion::from)))
    }

    /// Read a version
    ///
    /// Of a secret, with its value. The read is recorded in the audit log before it is answered. A version that was
    /// destroyed is not there any more.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets/:key/versions/:version",
        method = "get",
        operation_id = "get_secret_version"
    )]
    async fn get_secret_version(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// The key.
        key: Path<String>,
        /// Number of the version.
        version: Path<i64>,
    ) -> Result<ReadyJson<SecretValue>, ApiError> {
        let access = access::key::<grant::SecretsRead>(&self.0.db, &caller, &org, &project, &env, &key).await?;
        let opened = read::get(&self.0.db, &self.0.keys, &self.0.warm, &access, &key, Some(version.0)).await?;
        self.0.reads.record(read::event(&caller, &access, &opened)).await?;
        Ok(SecretValue::ready(&opened)?)
    }

    /// Destroy a version
    ///
    /// Its value and comment, for good; the version stays in the list. The current version of a secret that is not
    /// deleted cannot be destroyed.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets/:key/versions/:version",
        method = "delete",
        operation_id = "destroy_secret_version"
    )]
    async fn destroy_secret_version(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// The key.
        key: Path<String>,
        /// Number of the version.
        version: Path<i64>,
    ) -> Result<Destroyed, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::key::<grant::SecretsBulkDelete>(&*tx, &caller, &org, &project, &env, &key).await?;
        version::destroy(&tx, &caller, &access, &key, version.0).await?;
        tx.commit(Destroyed::Done).await
    }

    /// Go back to a version
    ///
    /// Stores its value and comment again, as a new version. It needs no permission to read.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets/:key/rollback",
        method = "post",
        operation_id = "rollback_secret"
    )]
    async fn rollback_secret(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// The key.
        key: Path<String>,
        body: Json<RollbackSecret>,
    ) -> Result<SecretWritten, ApiError> {
        let RollbackSecret {
            version,
            expected_version,
        } = body.0;
        let condition = precondition(None, None, expected_version)?;
        let tx = self.0.begin_write().await?;
        let access = access::key::<grant::SecretsWrite>(&*tx, &caller, &org, &project, &env, &key).await?;
        let written = write::roll_back(&tx, &self.0.keys, &caller, &access, &key, version, condition).await?;
        answer(tx, written).await
    }
}
