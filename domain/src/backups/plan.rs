//! How an instance is backed up: where backups lie, under which key, how often, and how long they are kept.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bucket::Bucket;
use super::fault::Fault;
use super::store::Location;
use crate::crypto::keyring::RootKeyring;
use crate::kernel::config::{BackupBucket, Config, DatabaseChoice};
use crate::kernel::id::BackupId;
use crate::kernel::{Error, Result, Rng, Secret};

/// What an object is named by: `s3://bucket/key`.
const OBJECT_URL: &str = "s3://";
/// Name of the backup key's file in the data folder.
const KEY_FILE: &str = "backup.key";
/// What to do where there is none.
const NO_KEY: &str = "Set STRONGROOM_BACKUP_KEY or its file first: a key of its own, apart from the root key.";

/// Where the backup key comes from.
enum Key {
    Set(Secret<String>),
    /// Of the data folder, made when it is first needed.
    File(PathBuf),
    Missing,
}

/// Which kind of store backups are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    Folder,
    S3,
}

/// Where backups are kept, and whether that can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    pub kind: StoreKind,
    /// Path of the folder, or `s3://bucket/folder/`.
    pub place: String,
    /// Why it cannot be reached.
    pub problem: Option<String>,
}

/// A backup that is kept, whether a list knows it or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub id: BackupId,
    /// Bytes.
    pub size: u64,
}

/// How an instance is backed up.
pub struct Plan {
    /// Of backups, unless there is a bucket; and of what is unpacked to be looked at.
    folder: PathBuf,
    bucket: Option<(BackupBucket, Bucket)>,
    key: Key,
    pub(super) database: DatabaseChoice,
    /// Time between two backups that nobody asks for; `None`: never.
    pub(super) every: Option<Duration>,
    /// How many are kept at most; `None`: any number.
    pub(super) keep: Option<u64>,
    /// How long they are kept; `None`: for ever.
    pub(super) keep_for: Option<Duration>,
}

impl Plan {
    /// Reads the settings, and holds the backup key against the root keys.
    ///
    /// # Errors
    /// [`Error::Internal`] that says what is wrong with the key.
    pub fn from_config(config: &Config, roots: &RootKeyring) -> Result<Self> {
        let plan = Self::without_roots(config)?;
        if let Some(keys) = plan.existing_keyring()?
            && keys.shares_a_key(roots)
        {
            let why = "STRONGROOM_BACKUP_KEY is the root key: whoever found one backup and it would open everything. \
                       Make another one with `openssl rand -base64 32`";
            return Err(Error::internal(why));
        }
        Ok(plan)
    }

    /// Reads the settings. For a restoration, which may know no root key.
    ///
    /// # Errors
    /// [`Error::Internal`] when no client for the store can be made.
    pub fn without_roots(config: &Config) -> Result<Self> {
        let bucket = config.backup_s3.bucket().map(|set| -> Result<_> {
            let bucket = Bucket::open(&set)?;
            Ok((set, bucket))
        });
        let key = match (&config.backup_key, &config.database) {
            (Some(key), _) => Key::Set(key.clone()),
            (None, DatabaseChoice::SqliteFile(_)) => Key::File(config.data_dir.join(KEY_FILE)),
            (None, DatabaseChoice::SqliteUrl(_) | DatabaseChoice::Postgres(_)) => Key::Missing,
        };
        Ok(Self {
            folder: config.backup_dir.clone(),
            bucket: bucket.transpose()?,
            key,
            database: config.database.clone(),
            every: (config.backup_every > 0).then(|| Duration::from_hours(config.backup_every)),
            keep: (config.backup_keep > 0).then_some(config.backup_keep),
            keep_for: (config.backup_keep_days > 0).then(|| Duration::from_hours(24 * config.backup_keep_days)),
        })
    }

    /// Why no backup can be made here; `None` when one can.
    pub fn why_not(&self) -> Option<&'static str> {
        match self.key {
            Key::Missing => Some(NO_KEY),
            Key::Set(_) | Key::File(_) => None,
        }
    }

    /// The backup keys; makes one in the data folder the first time.
    pub(super) fn keyring(&self, rng: &Rng) -> Result<RootKeyring, Fault> {
        if let Some(keys) = self.existing_keyring()? {
            return Ok(keys);
        }
        let Key::File(path) = &self.key else {
            return Err(Fault::refused(NO_KEY));
        };
        let key = RootKeyring::generate(rng)?;
        // Another process may have been faster: then its key counts.
        match write_new(path, key.expose()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        self.existing_keyring()?.ok_or_else(|| Fault::refused(NO_KEY))
    }

    /// The backup keys, if there are any yet.
    ///
    /// # Errors
    /// [`Error::Internal`] for what cannot be read.
    pub fn existing_keyring(&self) -> Result<Option<RootKeyring>> {
        let text = match &self.key {
            Key::Set(key) => key.clone(),
            Key::File(path) => match fs::read_to_string(path) {
                Ok(text) => Secret::new(text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::internal(format!("{}: {error}", path.display()))),
            },
            Key::Missing => return Ok(None),
        };
        let keys = RootKeyring::parse(&text).map_err(|error| {
            let why = error.to_string().replace("root key", "key");
            Error::internal(format!("STRONGROOM_BACKUP_KEY: {why}"))
        })?;
        Ok(Some(keys))
    }

    /// The file of a backup. Its name is its id: nothing that a caller chose.
    fn file(&self, id: BackupId) -> PathBuf {
        self.folder.join(format!("{id}.srb"))
    }

    /// Where a backup comes to lie.
    pub(super) fn destination(&self, id: BackupId) -> Location {
        match &self.bucket {
            Some((_, bucket)) => Location::Object(bucket.clone(), bucket.key(id)),
            None => Location::File(self.file(id)),
        }
    }

    /// Where a backup lies. One of the time before there was a bucket is still in the folder.
    pub(super) fn location(&self, id: BackupId) -> Location {
        let file = self.file(id);
        if file.exists() {
            return Location::File(file);
        }
        self.destination(id)
    }

    /// What somebody names: the path of a file, `s3://bucket/key` or the id of a backup.
    pub(super) fn named(&self, from: &Path) -> Result<Location, Fault> {
        let text = from.to_str().unwrap_or_default();
        if let Some(object) = text.strip_prefix(OBJECT_URL) {
            let (name, key) = object.split_once('/').unwrap_or((object, ""));
            // A URL would resolve them, and so lead elsewhere.
            let has_dots = key.split('/').any(|step| matches!(step, "." | ".."));
            if name.is_empty() || key.is_empty() || has_dots {
                return Err(Fault::refused("An object is named s3://bucket/key."));
            }
            let Some((set, _)) = &self.bucket else {
                let why = "No store is set: set STRONGROOM_BACKUP_S3_BUCKET and what goes with it.";
                return Err(Fault::refused(why));
            };
            let set = BackupBucket {
                name: name.to_owned(),
                ..set.clone()
            };
            return Ok(Location::Object(Bucket::open(&set)?, key.to_owned()));
        }
        Ok(match text.parse() {
            Ok(id) => self.location(id),
            Err(_) => Location::File(from.to_owned()),
        })
    }

    /// Where backups are kept: path of the folder, or `s3://bucket/folder/`.
    pub fn place(&self) -> String {
        match &self.bucket {
            Some((_, bucket)) => bucket.name(),
            None => self.folder.display().to_string(),
        }
    }

    /// Where backups are kept, and whether that can be reached now.
    pub async fn health(&self) -> StoreHealth {
        let (kind, problem) = match &self.bucket {
            Some((_, bucket)) => (StoreKind::S3, bucket.look().await.err()),
            None => (StoreKind::Folder, look_at(&self.folder).err().map(Fault::from)),
        };
        StoreHealth {
            kind,
            place: self.place(),
            problem: problem.map(|fault| fault.to_string()),
        }
    }

    /// Every backup that is kept, the oldest first.
    ///
    /// # Errors
    /// Those of the folder or the store.
    pub async fn stored(&self) -> Result<Vec<Stored>, Fault> {
        let mut found = match &self.bucket {
            Some((_, bucket)) => bucket.list().await?,
            None => files_in(&self.folder)?,
        };
        found.sort_unstable();
        Ok(found.into_iter().map(|(id, size)| Stored { id, size }).collect())
    }

    /// Where a backup is unpacked to be looked at.
    pub(super) fn scratch(&self, id: BackupId) -> PathBuf {
        self.folder.join(format!(".{id}.scratch.db"))
    }

    /// Makes the folder, for its owner's eyes. With a bucket and PostgreSQL nothing is ever written there.
    pub(super) fn make_folder(&self) -> io::Result<()> {
        if self.bucket.is_some() && !self.database.is_sqlite() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Deletes a backup where it is kept, if it is there.
    ///
    /// # Errors
    /// Those of the folder or the store.
    pub async fn remove(&self, id: BackupId) -> Result<(), Fault> {
        self.location(id).remove().await
    }
}

/// A folder that is not there yet is made when it is needed.
fn look_at(folder: &Path) -> io::Result<()> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The backups in a folder, each with its length in bytes.
fn files_in(folder: &Path) -> io::Result<Vec<(BackupId, u64)>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let id = name
            .to_str()
            .and_then(|name| name.strip_suffix(".srb")?.parse::<BackupId>().ok());
        if let Some(id) = id {
            found.push((id, entry.metadata()?.len()));
        }
    }
    Ok(found)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}
