//! Secrets of an environment.

use std::sync::Arc;

use domain::access::{self, EnvAccess, grant};
use domain::kernel::{Problem, ProblemCode, Secret};
use domain::secrets::list::{self, Listing, Selection};
use domain::secrets::write::{self, Outcome, Put, SecretPatch, Written};
use domain::secrets::{Moment, NewValue, Precondition, read};
use poem::IntoResponse;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::dto::{DeletedSecret, KeyList, NewSecret, PatchSecret, PutSecret, SecretList, SecretValue, WrittenSecret};
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::etag;
use crate::http::problem::ApiError;
use crate::http::ready_json::ReadyJson;
use crate::http::time::Time;
use crate::http::write::{Write, is_answer_kept};
use crate::tags::Tag;

pub struct SecretsApi(pub Arc<App>);

#[derive(ApiResponse)]
pub enum Secrets {
    /// The secrets that the caller may read.
    #[oai(status = 200)]
    Ok(ReadyJson<SecretList>, #[oai(header = "ETag")] String),
    /// Nothing has changed for this caller since the named `ETag`.
    #[oai(status = 304)]
    NotModified(#[oai(header = "ETag")] String),
}

#[derive(Clone, ApiResponse)]
pub enum Keys {
    /// The keys that the caller may know of.
    #[oai(status = 200)]
    Ok(Json<KeyList>, #[oai(header = "ETag")] String),
    /// Nothing has changed for this caller since the named `ETag`.
    #[oai(status = 304)]
    NotModified(#[oai(header = "ETag")] String),
}

#[derive(Clone, ApiResponse)]
pub enum SecretWritten {
    /// There was no such secret; now there is.
    #[oai(status = 201)]
    Created(Json<WrittenSecret>, #[oai(header = "ETag")] String),
    /// It has a new version, or the same value was stored already.
    #[oai(status = 200)]
    Ok(Json<WrittenSecret>, #[oai(header = "ETag")] String),
}

#[derive(Clone, ApiResponse)]
pub enum SecretCreated {
    /// The secret was made.
    #[oai(status = 201)]
    Created(Json<WrittenSecret>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
pub enum OneSecret {
    /// The secret.
    #[oai(status = 200)]
    Ok(ReadyJson<SecretValue>, #[oai(header = "ETag")] String),
}

/// One precondition from header and body; both may say it, if they agree.
pub(super) fn precondition(
    if_match: Option<&str>,
    if_none_match: Option<&str>,
    expected_version: Option<i64>,
) -> Result<Precondition, ApiError> {
    let conflict = || {
        Problem::new(
            ProblemCode::MalformedRequest,
            "`If-Match`, `If-None-Match` and `expected_version` contradict each other.",
        )
    };
    let named = if_match.map(etag::version).transpose()?;
    if named.is_some() && expected_version.is_some() && named != expected_version {
        return Err(conflict().into());
    }
    match (named.or(expected_version), if_none_match) {
        (None, None) => Ok(Precondition::None),
        (Some(version), None) => Ok(Precondition::Version(version)),
        (None, Some("*")) => Ok(Precondition::Absent),
        (None, Some(_)) => Err(Problem::new(
            ProblemCode::MalformedRequest,
            "For a write, `If-None-Match` takes `*` only.",
        )
        .into()),
        (Some(_), Some(_)) => Err(conflict().into()),
    }
}

/// Commits a write and answers; one that came to nothing is given up.
pub(super) async fn answer(tx: Write<'_>, written: Written) -> Result<SecretWritten, ApiError> {
    finish(tx, written, answer_of).await
}

fn answer_of(written: Written) -> SecretWritten {
    let tag = etag::of_version(written.secret.version);
    match written.secret.outcome {
        Outcome::Created => SecretWritten::Created(Json(written.into()), tag),
        Outcome::Updated | Outcome::Renamed | Outcome::Restored | Outcome::Deleted | Outcome::Unchanged => {
            SecretWritten::Ok(Json(written.into()), tag)
        }
    }
}

/// Commits a write, unless it changed nothing, and answers.
async fn finish<R: IntoResponse + Clone>(
    tx: Write<'_>,
    written: Written,
    answer: impl FnOnce(Written) -> R,
) -> Result<R, ApiError> {
    let is_unchanged = written.is_unchanged();
    let answer = answer(written);
    if is_unchanged {
        tx.give_up(answer).await
    } else {
        tx.commit(answer).await
    }
}

impl SecretsApi {
    /// Stores a value: together with what the same principal stores there at the same time, but where the answer is to be
    /// kept, which is committed with this change alone.
    async fn store<R: IntoResponse + Clone>(
        &self,
        caller: &Caller,
        place: [&str; 3],
        put: Put,
        answer: impl FnOnce(Written) -> R,
    ) -> Result<R, ApiError> {
        if !is_answer_kept() {
            let written = self.0.writers.put(caller.shared(), place, put).await?;
            return Ok(answer(written));
        }
        let [org, project, env] = place;
        let tx = self.0.begin_write().await?;
        let access = access::key::<grant::SecretsWrite>(&*tx, caller, org, project, env, &put.key).await?;
        let written = write::put(&tx, &self.0.keys, caller, &access, put).await?;
        finish(tx, written, answer).await
    }
}

/// The tag of what a caller may see of an environment as it is now; `None` of the past, where it takes a look: pins are moved,
/// and versions are destroyed, without a revision.
fn current_tag<A: grant::Permitted>(access: &EnvAccess<A>, selection: &Selection) -> Option<String> {
    let is_now = selection.moment == Moment::Now;
    is_now.then(|| etag::of_environment(access.env.revision, &access.scope_digest(selection)))
}

/// The tag of what was read of the past.
fn past_tag<A: grant::Permitted, T>(access: &EnvAccess<A>, selection: &Selection, listing: &Listing<T>) -> String {
    etag::of_environment(listing.revision, &access.scope_digest(&(selection, &listing.destroyed)))
}

#[OpenApi(tag = "Tag::Secrets")]
impl SecretsApi {
    /// Read all secrets
    ///
    /// Of an environment, opened, by key: all of them, or a page when `limit` or `offset` is given. The `ETag` changes
    /// with the environment's revision and with what the caller may see; of a reading of the past, with the revision
    /// that was read and the values of it that were destroyed since. The read is recorded in the audit log before it is
    /// answered.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets",
        method = "get",
        operation_id = "list_secrets"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn list_secrets(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// Secrets of a page, 1 to 500; absent: all.
        limit: Query<Option<i64>>,
        /// Secrets to leave out first.
        offset: Query<Option<i64>>,
        /// Only keys that begin with this, case and all.
        search: Query<Option<String>>,
        /// A revision of the environment, or the name of a pin: read as it was then.
        revision: Query<Option<String>>,
        /// An instant: read as it was then.
        at: Query<Option<Time>>,
        /// An `ETag` of before: 304 when nothing has changed.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Secrets, ApiError> {
        let access = access::env::<grant::SecretsRead>(&self.0.db, &caller, &org, &project, &env).await?;
        let moment = Moment::new(revision.0.as_deref(), at.0.map(|at| at.0))?;
        let selection = Selection::new(limit.0, offset.0, search.0, moment)?;
        let is_known = |tag: &String| etag::matches(if_none_match.0.as_deref(), tag);
        let current = current_tag(&access, &selection);
        if let Some(tag) = current.clone().filter(is_known) {
            return Ok(Secrets::NotModified(tag));
        }
        let listing = list::secrets(&self.0.db, &self.0.keys, &self.0.warm, &access, &selection).await?;
        let tag = current.unwrap_or_else(|| past_tag(&access, &selection, &listing));
        if is_known(&tag) {
            return Ok(Secrets::NotModified(tag));
        }
        self.0.reads.record(list::event(&caller, &access, &listing)).await?;
        Ok(Secrets::Ok(SecretList::ready(&listing)?, tag))
    }

    /// List keys
    ///
    /// Of an environment, without values: for everybody who may write there, even where they may not read.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/keys",
        method = "get",
        operation_id = "list_secret_keys"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn list_secret_keys(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// Keys of a page, 1 to 500; absent: all.
        limit: Query<Option<i64>>,
        /// Keys to leave out first.
        offset: Query<Option<i64>>,
        /// Only keys that begin with this, case and all.
        search: Query<Option<String>>,
        /// A revision of the environment, or the name of a pin: read as it was then.
        revision: Query<Option<String>>,
        /// An instant: read as it was then.
        at: Query<Option<Time>>,
        /// An `ETag` of before: 304 when nothing has changed.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
    ) -> Result<Keys, ApiError> {
        let access = access::env::<grant::SecretsList>(&self.0.db, &caller, &org, &project, &env).await?;
        let moment = Moment::new(revision.0.as_deref(), at.0.map(|at| at.0))?;
        let selection = Selection::new(limit.0, offset.0, search.0, moment)?;
        let is_known = |tag: &String| etag::matches(if_none_match.0.as_deref(), tag);
        let current = current_tag(&access, &selection);
        if let Some(tag) = current.clone().filter(is_known) {
            return Ok(Keys::NotModified(tag));
        }
        let listing = list::keys(&self.0.db, &access, &selection).await?;
        let tag = current.unwrap_or_else(|| past_tag(&access, &selection, &listing));
        if is_known(&tag) {
            return Ok(Keys::NotModified(tag));
        }
        Ok(Keys::Ok(Json(listing.into()), tag))
    }

    /// Make a secret
    ///
    /// Under a key that has none. A key that was deleted can be made again; its versions go on counting.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets",
        method = "post",
        operation_id = "create_secret"
    )]
    async fn create_secret(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        body: Json<NewSecret>,
    ) -> Result<SecretCreated, ApiError> {
        let (key, new) = body.0.into_parts();
        let put = Put {
            key,
            new,
            precondition: Precondition::New,
        };
        self.store(&caller, [&org, &project, &env], put, |written| {
            let tag = etag::of_version(written.secret.version);
            SecretCreated::Created(Json(written.into()), tag)
        })
        .await
    }

    /// Read a secret
    ///
    /// Its current version, or the one asked for. The `ETag` is the version, for `If-Match`; there is no 304, for another secret
    /// of this key may have had the same version. The read is recorded in the audit log before it is answered.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets/:key",
        method = "get",
        operation_id = "get_secret"
    )]
    async fn get_secret(
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
        /// Number of a version; absent: the current one.
        version: Query<Option<i64>>,
    ) -> Result<OneSecret, ApiError> {
        let access = access::key::<grant::SecretsRead>(&self.0.db, &caller, &org, &project, &env, &key).await?;
        let opened = read::get(&self.0.db, &self.0.keys, &self.0.warm, &access, &key, version.0).await?;
        let tag = etag::of_version(opened.version);
        self.0.reads.record(read::event(&caller, &access, &opened)).await?;
        Ok(OneSecret::Ok(SecretValue::ready(&opened)?, tag))
    }

    /// Store a secret
    ///
    /// Makes it, or gives it a new version. The same value and comment again change nothing. `If-Match` or
    /// `expected_version` guard against writing over somebody else's change, `If-None-Match: *` against writing over
    /// anything. Versions are numbered for each secret: under a key whose secret was renamed they begin anew.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets/:key",
        method = "put",
        operation_id = "put_secret"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn put_secret(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        /// The key: `[A-Za-z_][A-Za-z0-9_.-]{0,254}`.
        key: Path<String>,
        /// The version that must be there, quoted: `"3"`.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        /// `*`: there must be no such secret.
        #[oai(name = "If-None-Match")]
        if_none_match: Header<Option<String>>,
        body: Json<PutSecret>,
    ) -> Result<SecretWritten, ApiError> {
        let PutSecret {
            value,
            comment,
            expected_version,
        } = body.0;
        let precondition = precondition(if_match.0.as_deref(), if_none_match.0.as_deref(), expected_version)?;
        let new = NewValue {
            value: Secret::new(value),
            comment: comment.map(Secret::new),
        };
        let put = Put {
            key: key.0,
            new,
            precondition,
        };
        self.store(&caller, [&org, &project, &env], put, answer_of).await
    }

    /// Change a secret in part
    ///
    /// Its value, its comment or its key. A rename alone makes no new version; whoever renames must be allowed to
    /// write both keys.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets/:key",
        method = "patch",
        operation_id = "update_secret"
    )]
    #[expect(clippy::too_many_arguments, reason = "the parameters of the operation")]
    async fn update_secret(
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
        /// The version that must be there, quoted: `"3"`.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Json<PatchSecret>,
    ) -> Result<SecretWritten, ApiError> {
        let PatchSecret {
            key: new_key,
            value,
            comment,
            expected_version,
        } = body.0;
        let condition = precondition(if_match.0.as_deref(), None, expected_version)?;
        let patch = SecretPatch {
            value: value.map(Secret::new),
            comment: comment.map(Secret::new),
            key: new_key,
        };
        let tx = self.0.begin_write().await?;
        let access = access::key::<grant::SecretsWrite>(&*tx, &caller, &org, &project, &env, &key).await?;
        let written = write::patch(&tx, &self.0.keys, &caller, &access, &key, patch, condition).await?;
        answer(tx, written).await
    }

    /// Delete a secret
    ///
    /// Its versions stay stored, and it can be brought back.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets/:key",
        method = "delete",
        operation_id = "delete_secret"
    )]
    async fn delete_secret(
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
        /// The version that must be there, quoted: `"3"`.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Result<Json<DeletedSecret>, ApiError> {
        let condition = precondition(if_match.0.as_deref(), None, None)?;
        let tx = self.0.begin_write().await?;
        let access = access::key::<grant::SecretsDelete>(&*tx, &caller, &org, &project, &env, &key).await?;
        let deleted = write::delete(&tx, &self.0.keys, &caller, &access, &key, condition).await?;
        tx.commit(Json(deleted.into())).await
    }

    /// Bring a deleted secret back
    ///
    /// The one that was deleted last under the key, with all of its versions.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/secrets/:key/restore",
        method = "post",
        operation_id = "restore_secret"
    )]
    async fn restore_secret(
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
    ) -> Result<SecretWritten, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::key::<grant::SecretsWrite>(&*tx, &caller, &org, &project, &env, &key).await?;
        let written = write::restore(&tx, &self.0.keys, &caller, &access, &key).await?;
        answer(tx, written).await
    }
}
