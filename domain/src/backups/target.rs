//! Empty databases that backups are restored into: one to be looked at and thrown away, and one that is kept beside the
//! live one for an operator to swap in.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::ConnectionTrait;
use url::Url;

use super::fault::Fault;
use super::plan::Plan;
use super::store::{remove_if_there, sync_folder};
use crate::kernel::config::DatabaseChoice;
use crate::kernel::id::BackupId;
use crate::kernel::{Db, Error, Reads, Result};

/// Longest name of a PostgreSQL database, bytes; a longer one would be cut in silence.
const MAX_NAME: usize = 63;

/// Tries to rename a database, and the pause between two.
const RENAMES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// A database that is being filled.
pub(super) struct Target {
    pub(super) db: Db,
    place: Place,
}

enum Place {
    File(PathBuf),
    /// A schema of the live database.
    Schema(String),
    /// A database of the live server.
    Database(String),
}

/// A database to be looked at, of the same kind as the live one.
pub(super) async fn scratch(plan: &Plan, live: &Db, id: BackupId) -> Result<Target, Fault> {
    match &plan.database {
        DatabaseChoice::SqliteFile(_) | DatabaseChoice::SqliteUrl(_) => in_file(live, plan.scratch(id)).await,
        DatabaseChoice::Postgres(url) => {
            let place = Place::Schema(format!("scratch_{}", id.0.simple()));
            remove(live, &place).await?;
            let Place::Schema(schema) = &place else {
                return Err(Error::internal("a scratch database that is no schema").into());
            };
            run(live, &format!("CREATE SCHEMA \"{schema}\"")).await?;
            let (clock, rng) = (live.clock().clone(), live.rng().clone());
            Ok(Target {
                db: Db::connect_in_schema(url.expose(), schema, clock, rng).await?,
                place,
            })
        }
    }
}

async fn in_file(live: &Db, path: PathBuf) -> Result<Target, Fault> {
    remove_database(&path)?;
    // SQLite would make it for everybody's eyes.
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    let (clock, rng) = (live.clock().clone(), live.rng().clone());
    Ok(Target {
        db: Db::connect(&Db::sqlite_url(&path), clock, rng).await?,
        place: Place::File(path),
    })
}

/// Makes the file of a SQLite URL, if it is not there: SQLite would make it for everybody's eyes.
pub(super) fn make_private(url: &str) -> Result<(), Fault> {
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path_of(url)?);
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn run(live: &Db, sql: &str) -> Result<()> {
    live.conn().execute_unprepared(sql).await?;
    Ok(())
}

/// Deletes a SQLite database with what stands beside it.
fn remove_database(path: &Path) -> std::io::Result<()> {
    remove_if_there(path)?;
    for suffix in ["-wal", "-shm"] {
        remove_if_there(&with_suffix(path, suffix))?;
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

async fn remove(live: &Db, place: &Place) -> Result<(), Fault> {
    match place {
        Place::File(path) => remove_database(path)?,
        Place::Schema(name) => run(live, &format!("DROP SCHEMA IF EXISTS \"{name}\" CASCADE")).await?,
        Place::Database(name) => run(live, &format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await?,
    }
    Ok(())
}

impl Target {
    /// Throws it away.
    pub(super) async fn discard(self, live: &Db) -> Result<(), Fault> {
        self.db.close().await;
        remove(live, &self.place).await
    }
}

/// A database that is to stand beside the live one.
pub(super) struct Staging {
    pub(super) target: Target,
    /// Its name when it is ready: a path, or the name of a database.
    name: String,
}

/// Begins a database beside the live one, under a name that says that it is not ready.
///
/// # Errors
/// [`Fault::Refused`] when it is there already: it may be in use.
pub(super) async fn stage(plan: &Plan, live: &Db, id: BackupId) -> Result<Staging, Fault> {
    match &plan.database {
        DatabaseChoice::SqliteFile(path) => stage_file(live, path, id).await,
        DatabaseChoice::SqliteUrl(url) => stage_file(live, &path_of(url.expose())?, id).await,
        DatabaseChoice::Postgres(url) => stage_database(live, url.expose(), id).await,
    }
}

async fn stage_file(live: &Db, path: &Path, id: BackupId) -> Result<Staging, Fault> {
    let ready = with_suffix(path, &format!(".restore.{id}"));
    if ready.exists() {
        return Err(taken(&ready.display().to_string()));
    }
    Ok(Staging {
        target: in_file(live, with_suffix(&ready, ".part")).await?,
        name: ready.display().to_string(),
    })
}

async fn stage_database(live: &Db, url: &str, id: BackupId) -> Result<Staging, Fault> {
    let mut url = Url::parse(url).map_err(|_| Error::internal("a database URL that is none"))?;
    let ready = restored_name(url.path().trim_start_matches('/'), id);
    if has_database(live, &ready).await? {
        return Err(taken(&ready));
    }
    let part = format!("{ready}.part");
    let place = Place::Database(part.clone());
    remove(live, &place).await?;
    run(live, &format!("CREATE DATABASE \"{part}\"")).await?;
    url.set_path(&part);
    let db = Db::connect(url.as_str(), live.clock().clone(), live.rng().clone()).await?;
    Ok(Staging {
        target: Target { db, place },
        name: ready,
    })
}

async fn has_database(live: &Db, name: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM pg_database WHERE datname = $1";
    let found = live.conn().query_one_raw(live.sql(sql, [name.into()])).await?;
    Ok(found.is_some())
}

/// Whether a database stands beside the live one under the name that says that it is ready.
pub(super) async fn is_there(plan: &Plan, live: &Db, name: &str) -> Result<bool> {
    match &plan.database {
        DatabaseChoice::SqliteFile(_) | DatabaseChoice::SqliteUrl(_) => Ok(Path::new(name).exists()),
        DatabaseChoice::Postgres(_) => has_database(live, name).await,
    }
}

/// The name of the live database with the id behind it, cut so that the id stays whole.
fn restored_name(live: &str, id: BackupId) -> String {
    let end = format!(".restore.{id}");
    let room = MAX_NAME.saturating_sub(end.len() + ".part".len());
    // What needs escaping in a name or a URL is left out.
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let begin: String = live.chars().filter(plain).take(room).collect();
    format!("{begin}{end}")
}

fn taken(name: &str) -> Fault {
    Fault::refused(format!("{name} is there already. Remove it to restore once more."))
}

/// The file of `sqlite://path?options`.
fn path_of(url: &str) -> Result<PathBuf> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let path = rest.split('?').next().unwrap_or(rest);
    if path.is_empty() {
        return Err(Error::internal("a SQLite URL without a path"));
    }
    Ok(PathBuf::from(path))
}

/// PostgreSQL takes a moment to notice that the last connection is closed, and renames nothing that is in use.
async fn rename(live: &Db, from: &str, to: &str) -> Result<()> {
    let sql = format!("ALTER DATABASE \"{from}\" RENAME TO \"{to}\"");
    for _ in 1..RENAMES {
        if run(live, &sql).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    run(live, &sql).await
}

impl Staging {
    /// The name that says that it is ready.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives it the name that says that it is ready; returns that name.
    pub(super) async fn finish(self, live: &Db) -> Result<String, Fault> {
        let Self { target, name } = self;
        target.db.close().await;
        match &target.place {
            Place::File(path) => {
                fs::rename(path, &name)?;
                sync_folder(path)?;
            }
            Place::Database(part) => rename(live, part, &name).await?,
            Place::Schema(_) => return Err(Error::internal("a schema is nothing to be kept").into()),
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_database_is_named_after_the_live_one_and_its_backup() {
        let id = BackupId(uuid::Uuid::from_u128(3));
        assert_eq!(restored_name("strongroom", id), format!("strongroom.restore.{id}"));
        let long = restored_name(&"x".repeat(63), id);
        assert!(
            long.len() + ".part".len() <= MAX_NAME && long.ends_with(&id.to_string()),
            "{long}"
        );
        assert_eq!(restored_name("a\"b%20c", id), format!("ab20c.restore.{id}"));
    }

    #[test]
    fn the_path_of_a_url_is_found() {
        for url in ["sqlite:///data/s.db?mode=rwc", "sqlite:/data/s.db"] {
            assert_eq!(path_of(url).unwrap(), PathBuf::from("/data/s.db"));
        }
        assert!(path_of("sqlite://").is_err());
    }
}
