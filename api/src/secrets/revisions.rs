//! The history of an environment: revisions, their names, comparisons, going back.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::secrets::Moment;
use domain::secrets::revision::{self, DiffSide, RollbackAccess};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::bulk::{ChangedKeys, answer};
use super::history::{EnvironmentDiff, EnvironmentRevision, PutPin, RevisionPin, RollbackEnvironment};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::ready_json::ReadyJson;
use crate::tags::Tag;

pub struct RevisionsApi(pub Arc<App>);

#[derive(Clone, ApiResponse)]
pub enum Unpinned {
    /// The name is free.
    #[oai(status = 204)]
    Done,
}

#[OpenApi(tag = "Tag::Secrets")]
impl RevisionsApi {
    /// List an environment's revisions
    ///
    /// Newest first: every change of the environment is one, whatever it changed.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/revisions",
        method = "get",
        operation_id = "list_revisions"
    )]
    async fn list_revisions(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// Entries of a page, 1 to 100; 20 if absent.
        limit: Query<Option<i64>>,
        /// Entries to leave out first; 0 if absent.
        offset: Query<Option<i64>>,
    ) -> Result<Json<List<EnvironmentRevision>>, ApiError> {
        let access = access::env::<grant::SecretsList>(&self.0.db, &caller, &org, &project, &env).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let revisions = revision::list(&self.0.db, &access, page).await?;
        Ok(Json(List::of(revisions, EnvironmentRevision::from)))
    }

    /// Name a revision
    ///
    /// Such as `release-42`. The name can stand wherever a revision can. A name that is there already moves.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/pins/:pin",
        method = "put",
        operation_id = "put_revision_pin"
    )]
    async fn put_revision_pin(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// The name: 1 to 63 of a-z, 0-9 and -, not only digits.
        pin: Path<String>,
        body: Json<PutPin>,
    ) -> Result<Json<RevisionPin>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::env::<grant::SecretsWrite>(&*tx, &caller, &org, &project, &env).await?;
        let row = revision::put_pin(&tx, &caller, &access, &pin, body.0.revision).await?;
        tx.commit(Json(row.into())).await
    }

    /// Take a revision's name away
    ///
    /// The revision stays.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/pins/:pin",
        method = "delete",
        operation_id = "delete_revision_pin"
    )]
    async fn delete_revision_pin(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// The name.
        pin: Path<String>,
    ) -> Result<Unpinned, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::env::<grant::SecretsWrite>(&*tx, &caller, &org, &project, &env).await?;
        revision::delete_pin(&tx, &caller, &access, &pin).await?;
        tx.commit(Unpinned::Done).await
    }

    /// Compare two states
    ///
    /// Of one environment at two revisions, or of two environments of the project. Values are compared by keyed
    /// fingerprint and never shown; since equality tells about values, only keys that the caller may read on both
    /// sides are compared.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/diff",
        method = "get",
        operation_id = "diff_environment"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn diff_environment(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// First state: a revision of the environment or the name of a pin. Absent: as it is now, if `against` names
        /// another environment, else as it was one revision ago.
        from: Query<Option<String>>,
        /// Second state: a revision or the name of a pin. Absent: as it is now.
        to: Query<Option<String>>,
        /// Id or slug of the environment that the second state is of. Absent: the same one.
        against: Query<Option<String>>,
    ) -> Result<Json<EnvironmentDiff>, ApiError> {
        let first = access::env::<grant::SecretsRead>(&self.0.db, &caller, &org, &project, &env).await?;
        let other = against.0.as_deref().unwrap_or(&env);
        let second = access::env::<grant::SecretsRead>(&self.0.db, &caller, &org, &project, other).await?;
        let named = |name: Option<String>, absent| name.as_deref().map_or(absent, Moment::named);
        let before = match &against.0 {
            Some(_) => Moment::Now,
            None => Moment::Revision((first.env.revision - 1).max(0)),
        };
        let old = DiffSide {
            access: &first,
            moment: named(from.0, before),
            field: "from",
        };
        let new = DiffSide {
            access: &second,
            moment: named(to.0, Moment::Now),
            field: "to",
        };
        Ok(Json(revision::diff(&self.0.db, old, new).await?.into()))
    }

    /// Go back to a revision
    ///
    /// Brings the whole environment back to how it was, as a new revision: all of it or nothing. It needs no
    /// permission to read, but to write and to delete whatever changes.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/rollback",
        method = "post",
        operation_id = "rollback_environment"
    )]
    async fn rollback_environment(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        body: Json<RollbackEnvironment>,
    ) -> Result<ReadyJson<ChangedKeys>, ApiError> {
        let RollbackEnvironment { revision, dry_run } = body.0;
        let tx = self.0.begin_write().await?;
        let writes = access::env::<grant::SecretsWrite>(&*tx, &caller, &org, &project, &env).await?;
        let deletes = writes.also::<grant::SecretsDelete>()?;
        let access = RollbackAccess {
            writes: &writes,
            deletes: &deletes,
        };
        let moment = Moment::named(&revision);
        let done = revision::roll_back(&tx, &self.0.keys, &caller, access, &moment, dry_run).await?;
        answer(tx, done).await
    }
}
