//! Many secrets at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::access::{self, grant};
use domain::secrets::bulk::{self, BulkResult, BulkSet, KeyResult, Mode};
use domain::secrets::write::Outcome;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Serialize;

use super::bulk_entry::BulkEntry;
use crate::app::App;
use crate::http::caller::Caller;
use crate::http::problem::ApiError;
use crate::http::ready_json::ReadyJson;
use crate::http::write::Write;
use crate::tags::Tag;

pub struct BulkApi(pub Arc<App>);

/// What becomes of the keys that are not named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum BulkMode {
    /// They stay.
    #[default]
    Merge,
    /// They are deleted.
    Replace,
}

impl From<BulkMode> for Mode {
    fn from(mode: BulkMode) -> Self {
        match mode {
            BulkMode::Merge => Self::Merge,
            BulkMode::Replace => Self::Replace,
        }
    }
}

/// Values to be stored.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct SetSecrets {
    /// Values by key, 1 to 1000: `{"DB_URL": "…", "API_KEY": {"value": "…", "comment": "…"}}`.
    pub secrets: BTreeMap<String, BulkEntry>,
    /// What becomes of the other keys of the environment.
    #[oai(default)]
    pub mode: BulkMode,
    /// Only tell what would happen.
    #[oai(default)]
    pub dry_run: bool,
}

/// Keys to be deleted.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct DeleteSecrets {
    /// 1 to 1000 keys.
    pub keys: Vec<String>,
}

/// What a change does to one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Serialize)]
#[oai(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// There was none; now there is.
    Created,
    /// It has a new version.
    Updated,
    /// It has another key.
    Renamed,
    /// It was deleted and is there again.
    Restored,
    /// It is deleted.
    Deleted,
    /// The same was stored already.
    Unchanged,
    /// The template of the environment, which is protected, does not allow it. With `dry_run` only: any other change
    /// is refused.
    Blocked,
}

impl From<Outcome> for KeyStatus {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Created => Self::Created,
            Outcome::Updated => Self::Updated,
            Outcome::Renamed => Self::Renamed,
            Outcome::Restored => Self::Restored,
            Outcome::Deleted => Self::Deleted,
            Outcome::Unchanged => Self::Unchanged,
        }
    }
}

/// One key of a change.
#[derive(Clone, Debug, Object, Serialize)]
#[oai(skip_serializing_if_is_none)]
pub struct ChangedKey {
    /// The key.
    pub key: String,
    /// What becomes of it.
    pub status: KeyStatus,
    /// Why it is blocked: `template: ` and `missing`, `empty`, `enum`, `pattern`, `too_short` or `too_long`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Number of its version afterwards; of a deleted one the last.
    pub version: i64,
}

/// What a change of several keys came to.
#[derive(Clone, Debug, Object, Serialize)]
pub struct ChangedKeys {
    /// The environment's revision afterwards.
    pub revision: i64,
    /// Every key of the change, sorted.
    pub results: Vec<ChangedKey>,
}

impl From<BulkResult> for ChangedKeys {
    fn from(done: BulkResult) -> Self {
        let BulkResult {
            revision,
            results,
            is_written: _,
        } = done;
        let entry = |result| {
            let KeyResult {
                key,
                outcome,
                version,
                fault,
            } = result;
            ChangedKey {
                key,
                status: fault.map_or(outcome.into(), |_| KeyStatus::Blocked),
                reason: fault.map(|fault| fault.blocks().to_owned()),
                version,
            }
        };
        Self {
            revision,
            results: results.into_iter().map(entry).collect(),
        }
    }
}

/// What a key of a change takes in the answer, bytes, roughly.
const ENTRY_ROOM: usize = 80;

/// Commits a change of several keys and answers; one that was only tried is given up.
pub(super) async fn answer(tx: Write<'_>, done: BulkResult) -> Result<ReadyJson<ChangedKeys>, ApiError> {
    let is_written = done.is_written;
    let changed = ChangedKeys::from(done);
    let answer = ReadyJson::write(&changed, changed.results.len() * ENTRY_ROOM)?;
    if is_written {
        tx.commit(answer).await
    } else {
        tx.give_up(answer).await
    }
}

#[OpenApi(tag = "Tag::Secrets")]
impl BulkApi {
    /// Store several secrets
    ///
    /// All of them or none, as one revision. With `mode: replace` the environment holds these and no others
    /// afterwards, which needs the permission to delete too. With `dry_run` nothing changes.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/bulk",
        method = "post",
        operation_id = "set_secrets"
    )]
    async fn set_secrets(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        body: Json<SetSecrets>,
    ) -> Result<ReadyJson<ChangedKeys>, ApiError> {
        let SetSecrets { secrets, mode, dry_run } = body.0;
        let set = BulkSet {
            secrets: secrets.into_iter().map(|(key, entry)| (key, entry.into())).collect(),
            mode: mode.into(),
            dry_run,
        };
        let tx = self.0.begin_write().await?;
        let access = access::env::<grant::SecretsWrite>(&*tx, &caller, &org, &project, &env).await?;
        let deletes = match set.mode {
            Mode::Merge => None,
            Mode::Replace => Some(access.also::<grant::SecretsDelete>()?),
        };
        let done = bulk::set(&tx, &self.0.keys, &caller, &access, deletes.as_ref(), set).await?;
        answer(tx, done).await
    }

    /// Delete several secrets
    ///
    /// All of them or none, as one revision. Their versions stay stored, and each can be brought back.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/environments/:env/bulk-delete",
        method = "post",
        operation_id = "delete_secrets"
    )]
    async fn delete_secrets(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
        /// Id or slug of the environment.
        env: Path<String>,
        body: Json<DeleteSecrets>,
    ) -> Result<ReadyJson<ChangedKeys>, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::env::<grant::SecretsBulkDelete>(&*tx, &caller, &org, &project, &env).await?;
        let done = bulk::delete(&tx, &self.0.keys, &caller, &access, body.0.keys).await?;
        answer(tx, done).await
    }
}
