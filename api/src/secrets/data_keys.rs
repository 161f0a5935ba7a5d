//! The keys that a project's values are encrypted with: replacing them, and proving what is stored.

use std::sync::Arc;

use domain::access::{self, grant};
use domain::crypto::key_store::generations::{Generation, KeyState};
use domain::kernel::page::{MAX_LIMIT, PageRequest};
use domain::kernel::{Error, Problem, ProblemCode};
use domain::secrets::rotation::{self, KeyInfo, Rotation};
use domain::secrets::verify::{self, Fault, FaultKind, Verification};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object, OpenApi};

use crate::app::App;
use crate::http::caller::Caller;
use crate::http::page::List;
use crate::http::problem::ApiError;
use crate::http::time::Time;
use crate::tags::Tag;

pub struct DataKeysApi(pub Arc<App>);

/// What a key is still good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ProjectKeyState {
    /// New values are encrypted with it.
    Active,
    /// It decrypts values that are not encrypted anew yet.
    Retiring,
    /// It decrypts nothing any more: its bytes are gone.
    Destroyed,
}

impl From<KeyState> for ProjectKeyState {
    fn from(state: KeyState) -> Self {
        match state {
            KeyState::Active => Self::Active,
            KeyState::Retiring => Self::Retiring,
            KeyState::Destroyed => Self::Destroyed,
        }
    }
}

/// A key that values of a project are, or were, encrypted with. The key itself never leaves the server.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ProjectKey {
    /// Id of the key: `key_…`.
    pub id: String,
    /// Which one it is, from 1.
    pub generation: i32,
    /// What it is still good for.
    pub state: ProjectKeyState,
    /// Values and comments that were encrypted with it so far; each process writes its count down every 65,536. At 2^28
    /// it is replaced without being asked.
    pub seals: i64,
    /// Versions that are yet to be encrypted anew; 0 unless it is retiring.
    pub remaining: i64,
    /// Versions among them that could not be decrypted at the last try. They keep the key; `verify_project` names them.
    pub failed: i64,
    /// When it was made.
    pub created_at: Time,
    /// When it was destroyed: a minute or more after the last value was encrypted anew.
    pub destroyed_at: Option<Time>,
}

impl From<KeyInfo> for ProjectKey {
    fn from(info: KeyInfo) -> Self {
        let KeyInfo { key, remaining } = info;
        let Generation {
            id,
            generation,
            state,
            seals,
            failed,
            created_at,
            emptied_at: _,
            destroyed_at,
        } = key;
        Self {
            id: id.to_string(),
            generation,
            state: state.into(),
            seals,
            remaining,
            failed,
            created_at: created_at.into(),
            destroyed_at: destroyed_at.map(Into::into),
        }
    }
}

/// How far a rotation has come.
#[derive(Clone, Debug, Object)]
pub struct RotationProgress {
    /// Versions to be encrypted anew.
    pub total: i64,
    /// Those that are not yet.
    pub remaining: i64,
}

/// A new key of a project, as its rotation begins.
#[derive(Clone, Debug, Object)]
pub struct RotatedKey {
    /// Id of the new key: `key_…`.
    pub id: String,
    /// Which one it is, from 1.
    pub generation: i32,
    /// `active`: new values are encrypted with it from now on.
    pub state: ProjectKeyState,
    /// When it was made.
    pub created_at: Time,
    /// What is to be done. `list_project_keys` tells how it goes on.
    pub progress: RotationProgress,
}

impl From<Rotation> for RotatedKey {
    fn from(rotation: Rotation) -> Self {
        let Rotation { key, remaining } = rotation;
        let Generation {
            id,
            generation,
            state,
            seals: _,
            failed: _,
            created_at,
            emptied_at: _,
            destroyed_at: _,
        } = key;
        Self {
            id: id.to_string(),
            generation,
            state: state.into(),
            created_at: created_at.into(),
            progress: RotationProgress {
                total: remaining,
                remaining,
            },
        }
    }
}

#[derive(Clone, ApiResponse)]
pub enum RotationBegun {
    /// New values are encrypted with the new key; those that are stored are being encrypted anew.
    #[oai(status = 202)]
    Accepted(Json<RotatedKey>),
}

/// What is wrong with something stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ProjectFaultKind {
    /// It cannot be decrypted: damaged, or in another place than it was encrypted for.
    Unopenable,
    /// It names a key that the project does not have, or not any more; or the key by which values are compared is not there.
    UnknownKey,
    /// Two different texts were encrypted with one key and one nonce.
    ReusedNonce,
    /// It is not what the journal says was written, or nobody wrote it.
    Altered,
    /// A state of before is there again.
    RolledBack,
    /// The journal says that it was written, and it is gone.
    Missing,
}

impl From<FaultKind> for ProjectFaultKind {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Unopenable => Self::Unopenable,
            FaultKind::UnknownKey => Self::UnknownKey,
            FaultKind::ReusedNonce => Self::ReusedNonce,
            FaultKind::Altered => Self::Altered,
            FaultKind::RolledBack => Self::RolledBack,
            FaultKind::Missing => Self::Missing,
        }
    }
}

/// Something stored that is not as it should be.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct ProjectFault {
    /// What is wrong.
    pub kind: ProjectFaultKind,
    /// Slug of the environment; absent when nothing is stored of the secret or version.
    pub environment: Option<String>,
    /// Key of the secret; absent when nothing is stored of the secret or version.
    pub key: Option<String>,
    /// Number of the version.
    pub version: i64,
    /// Id of the secret. The audit log knows it, also when it is gone.
    pub secret_id: String,
}

impl From<Fault> for ProjectFault {
    fn from(fault: Fault) -> Self {
        let Fault {
            kind,
            environment,
            key,
            secret,
            version,
        } = fault;
        Self {
            kind: kind.into(),
            environment,
            key,
            version,
            secret_id: secret.to_string(),
        }
    }
}

/// How much was checked.
#[derive(Clone, Debug, Object)]
pub struct CheckedCounts {
    /// Versions, those of deleted secrets and environments too.
    pub versions: u64,
    /// Secrets, deleted ones too.
    pub secrets: u64,
}

/// The result of a check of everything that a project stores.
#[derive(Clone, Debug, Object)]
pub struct ProjectVerification {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// How much was checked.
    pub checked: CheckedCounts,
    /// How many faults there are.
    pub fault_count: u64,
    /// The first hundred of them.
    pub faults: Vec<ProjectFault>,
}

impl From<Verification> for ProjectVerification {
    fn from(found: Verification) -> Self {
        let Verification {
            versions,
            secrets,
            faults,
            fault_count,
        } = found;
        Self {
            ok: fault_count == 0,
            checked: CheckedCounts { versions, secrets },
            fault_count,
            faults: faults.into_iter().map(Into::into).collect(),
        }
    }
}

fn another_walk() -> Error {
    let detail = "Another project is being verified. Try again when that is done.";
    Problem::new(ProblemCode::Unavailable, detail)
        .with("retry_after", 10)
        .into()
}

#[OpenApi(tag = "Tag::Secrets")]
impl DataKeysApi {
    /// Rotate a project's key
    ///
    /// A new key encrypts new values at once. Everything that is stored, history included, is encrypted anew with it
    /// bit by bit, while reads and writes go on; then the old key is destroyed, and copies of old rows can no longer
    /// be decrypted. Versions and revisions stay as they are. The key that values are compared with stays too.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/rotate-key",
        method = "post",
        operation_id = "rotate_project_key"
    )]
    async fn rotate_project_key(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
    ) -> Result<RotationBegun, ApiError> {
        let tx = self.0.begin_write().await?;
        let access = access::project::<grant::KeysRotate>(&*tx, &caller, &org, &project).await?;
        let rotation = rotation::rotate(&tx, &self.0.keys, &caller, &access).await?;
        tx.commit(RotationBegun::Accepted(Json(rotation.into()))).await
    }

    /// List a project's keys
    ///
    /// Newest first, with what is left to do for those that retire. Destroyed ones stay in the list.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/keys",
        method = "get",
        operation_id = "list_project_keys"
    )]
    async fn list_project_keys(
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
    ) -> Result<Json<List<ProjectKey>>, ApiError> {
        let access = access::project::<grant::KeysRotate>(&self.0.db, &caller, &org, &project).await?;
        let page = PageRequest::new(limit.0, offset.0, MAX_LIMIT)?;
        let keys = rotation::list(&self.0.db, &access, page).await?;
        Ok(Json(List::of(keys, ProjectKey::from)))
    }

    /// Check everything that a project stores
    ///
    /// Each version of each secret is decrypted in its place and held against the journal; nothing of it is shown. It
    /// reads everything: for large projects it takes a while. That the journal itself was not tampered with,
    /// `verify_audit_log` tells. The check is recorded.
    #[oai(
        path = "/v1/orgs/:org/projects/:project/verify",
        method = "post",
        operation_id = "verify_project"
    )]
    async fn verify_project(
        &self,
        caller: Caller,
        /// Id or slug of the organisation.
        org: Path<String>,
        /// Id or slug of the project.
        project: Path<String>,
    ) -> Result<Json<ProjectVerification>, ApiError> {
        let access = access::project::<grant::KeysVerify>(&self.0.db, &caller, &org, &project).await?;
        let seat = self.0.walks.try_acquire().map_err(|_| another_walk())?;
        let snapshot = self.0.db.begin_snapshot().await?;
        let found = verify::verify(&snapshot, &self.0.keys, &access).await?;
        // Not within it: it may have taken long, and nobody is to wait for it.
        drop((snapshot, seat));
        let tx = self.0.begin_write().await?;
        verify::record(&tx, &caller, &access, &found).await?;
        tx.commit(Json(found.into())).await
    }
}
