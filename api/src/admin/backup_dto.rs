//! Backups as superusers see them.

use domain::backups;
use domain::kernel::page::Page;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Enum, Object};

use crate::http::page::{List, Pagination};
use crate::http::time::Time;

/// How a backup stands, or its restoration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum BackupState {
    /// It waits for a worker.
    Pending,
    /// A worker is at it.
    Running,
    /// It is done.
    Completed,
    /// It came to nothing; `problem` tells why.
    Failed,
}

impl From<backups::State> for BackupState {
    fn from(state: backups::State) -> Self {
        match state {
            backups::State::Pending => Self::Pending,
            backups::State::Running => Self::Running,
            backups::State::Completed => Self::Completed,
            backups::State::Failed => Self::Failed,
        }
    }
}

/// The last restoration of a backup into a database beside the live one.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct BackupRestoration {
    /// How it stands.
    pub state: BackupState,
    /// Path of the SQLite file, or name of the PostgreSQL database, once it is ready. The operator swaps it in.
    pub database: Option<String>,
    /// When it ended.
    pub restored_at: Option<Time>,
    /// Why it failed, or is tried again.
    pub problem: Option<String>,
}

impl From<backups::Restoration> for BackupRestoration {
    fn from(restoration: backups::Restoration) -> Self {
        let backups::Restoration {
            state,
            database,
            at,
            problem,
        } = restoration;
        Self {
            // Before it is completed there is nothing of that name.
            database: database.filter(|_| state == backups::State::Completed),
            state: state.into(),
            restored_at: at.map(Into::into),
            problem,
        }
    }
}

/// A backup of the whole instance.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Backup {
    /// Id of the backup: `bak_…`. Its file or object is called after it.
    pub id: String,
    /// How it stands.
    pub state: BackupState,
    /// What brought it about: `requested` or `scheduled`.
    pub cause: String,
    /// Id of the superuser who asked for it: `usr_…`.
    pub requested_by: Option<String>,
    /// The database that it was made from: `sqlite` or `postgres`. It restores into either.
    pub source: String,
    /// When it was asked for.
    pub created_at: Time,
    /// When a worker began.
    pub started_at: Option<Time>,
    /// When it was written.
    pub completed_at: Option<Time>,
    /// Rows that are written so far.
    pub rows_done: i64,
    /// Rows in all, once they are counted.
    pub rows_total: Option<i64>,
    /// Its length, bytes.
    pub size_bytes: Option<i64>,
    /// SHA-256 of it, in hex.
    pub sha256: Option<String>,
    /// Id of the backup key that it needs.
    pub key_id: Option<String>,
    /// When it was last restored and found whole: every row there, a value of each project opened, the journal
    /// verified.
    pub last_verified_at: Option<Time>,
    /// Why it failed, is tried again, or could not be verified.
    pub problem: Option<String>,
    /// Its last restoration, if it ever was restored.
    pub restoration: Option<BackupRestoration>,
}

impl From<backups::Backup> for Backup {
    fn from(backup: backups::Backup) -> Self {
        let backups::Backup {
            id,
            state,
            cause,
            requested_by,
            source,
            created_at,
            started_at,
            completed_at,
            rows_done,
            rows_total,
            size,
            sha256,
            key_id,
            last_verified_at,
            problem,
            restoration,
        } = backup;
        Self {
            id: id.to_string(),
            state: state.into(),
            cause,
            requested_by: requested_by.map(|id| id.to_string()),
            source,
            created_at: created_at.into(),
            started_at: started_at.map(Into::into),
            completed_at: completed_at.map(Into::into),
            rows_done,
            rows_total,
            size_bytes: size,
            sha256: sha256.map(hex::encode),
            key_id,
            last_verified_at: last_verified_at.map(Into::into),
            problem,
            restoration: restoration.map(Into::into),
        }
    }
}

/// What backups are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum BackupStoreKind {
    /// A folder of the machine, or one that the machines share.
    Folder,
    /// A bucket of an S3-compatible store.
    S3,
}

impl From<backups::StoreKind> for BackupStoreKind {
    fn from(kind: backups::StoreKind) -> Self {
        match kind {
            backups::StoreKind::Folder => Self::Folder,
            backups::StoreKind::S3 => Self::S3,
        }
    }
}

/// Where new backups are kept.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct BackupStore {
    /// What it is.
    pub kind: BackupStoreKind,
    /// Path of the folder, or `s3://bucket/folder/`.
    pub place: String,
    /// Whether it could be reached just now.
    pub reachable: bool,
    /// Why it could not.
    pub problem: Option<String>,
}

impl From<backups::StoreHealth> for BackupStore {
    fn from(health: backups::StoreHealth) -> Self {
        let backups::StoreHealth { kind, place, problem } = health;
        Self {
            kind: kind.into(),
            place,
            reachable: problem.is_none(),
            problem,
        }
    }
}

/// A page of the list of backups.
#[derive(Clone, Debug, Object)]
pub struct BackupList {
    /// The entries.
    pub data: Vec<Backup>,
    /// Where this page lies.
    pub pagination: Pagination,
    /// Where backups are kept.
    pub store: BackupStore,
}

impl BackupList {
    pub fn of(page: Page<backups::Backup>, store: backups::StoreHealth) -> Self {
        let List { data, pagination } = List::of(page, Backup::from);
        Self {
            data,
            pagination,
            store: store.into(),
        }
    }
}

#[derive(Clone, ApiResponse)]
pub enum BackupQueued {
    /// A worker will see to it.
    #[oai(status = 202)]
    Accepted(Json<Backup>),
}
