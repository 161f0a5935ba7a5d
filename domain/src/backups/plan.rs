//! How an instance is backed up: where the files lie, under which key, how often, and how long they are kept.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::Fault;
use crate::crypto::keyring::RootKeyring;
use crate::kernel::config::{Config, DatabaseChoice};
use crate::kernel::id::BackupId;
use crate::kernel::{Error, Result, Rng, Secret};

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

/// How an instance is backed up.
pub struct Plan {
    folder: PathBuf,
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
        let plan = Self::without_roots(config);
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
    pub fn without_roots(config: &Config) -> Self {
        let key = match (&config.backup_key, &config.database) {
            (Some(key), _) => Key::Set(key.clone()),
            (None, DatabaseChoice::SqliteFile(_)) => Key::File(config.data_dir.join(KEY_FILE)),
            (None, DatabaseChoice::SqliteUrl(_) | DatabaseChoice::Postgres(_)) => Key::Missing,
        };
        Self {
            folder: config.backup_dir.clone(),
            key,
            database: config.database.clone(),
            every: (config.backup_every > 0).then(|| Duration::from_hours(config.backup_every)),
            keep: (config.backup_keep > 0).then_some(config.backup_keep),
            keep_for: (config.backup_keep_days > 0).then(|| Duration::from_hours(24 * config.backup_keep_days)),
        }
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
    pub fn file(&self, id: BackupId) -> PathBuf {
        self.folder.join(format!("{id}.srb"))
    }

    /// Where a backup is unpacked to be looked at.
    pub(super) fn scratch(&self, id: BackupId) -> PathBuf {
        self.folder.join(format!(".{id}.scratch.db"))
    }

    /// Makes the folder, for its owner's eyes.
    pub(super) fn make_folder(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Deletes the file of a backup, if it is there.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove(&self, id: BackupId) -> io::Result<()> {
        remove_if_there(&self.file(id))
    }
}

/// Deletes a file that may be gone already.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
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
