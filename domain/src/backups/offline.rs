//! Backups by hand, without a server: for a command, and for whoever moves an instance.

use std::path::Path;
use std::sync::Arc;

use super::fault::Fault;
use super::file::{Header, Sizes};
use super::load::{Restored, load};
use super::make::{Progress, make};
use super::plan::Plan;
use super::settle::Tokens;
use super::store::Location;
use super::target::make_private;
use crate::crypto::keyring::RootKeyring;
use crate::kernel::id::BackupId;
use crate::kernel::{Clock, Db, Rng};

/// Writes the database as it is now into a file that no list knows.
///
/// # Errors
/// [`Fault`]; there is no file then.
pub async fn write_file(db: &Db, keys: RootKeyring, path: &Path, id: BackupId) -> Result<(Header, Sizes), Fault> {
    let to = Location::File(path.to_owned());
    make(db, Arc::new(keys), &to, id, &Progress::default()).await
}

/// Opens `sqlite://path` or `postgres://…` to be restored into. The SQLite file is made, for its owner's eyes, if it is
/// missing.
///
/// # Errors
/// [`Fault`] when it cannot be reached or made.
pub async fn open_target(url: &str, clock: Clock, rng: Rng) -> Result<Db, Fault> {
    if url.starts_with("sqlite:") {
        make_private(url)?;
    }
    Ok(Db::connect(url, clock, rng).await?)
}

/// Restores a file into an empty database.
///
/// # Errors
/// [`Fault::Refused`] for a file that does not open, is not whole or is of a newer version, and for a database that is not
/// empty.
pub async fn restore_file(path: &Path, keys: RootKeyring, target: &Db, tokens: Tokens) -> Result<Restored, Fault> {
    let from = Location::File(path.to_owned());
    load(&from, Arc::new(keys), target, tokens, &Progress::default()).await
}

/// Restores a backup into an empty database: a file, `s3://bucket/key` of the store that is set, or an id that is looked
/// for where backups are kept.
///
/// # Errors
/// As of [`restore_file`], and [`Fault::Refused`] for an object where no store is set.
pub async fn restore_from(
    plan: &Plan,
    from: &Path,
    keys: RootKeyring,
    target: &Db,
    tokens: Tokens,
) -> Result<Restored, Fault> {
    let from = plan.named(from)?;
    load(&from, Arc::new(keys), target, tokens, &Progress::default()).await
}
