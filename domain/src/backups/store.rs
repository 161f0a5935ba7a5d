//! Where backups lie: files in a folder, or objects in a bucket. Each is there under its name once it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IntoInnerError, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tokio::task::JoinHandle;

use super::bucket::{Bucket, Incoming, Outgoing};
use super::fault::Fault;
use crate::kernel::Error;

/// Where a backup lies, or comes to lie.
#[derive(Clone)]
pub(super) enum Location {
    File(PathBuf),
    /// Under this key.
    Object(Bucket, String),
}

impl Location {
    /// Begins to write a backup.
    pub(super) fn begin(&self) -> Result<(Sink, Landing), Fault> {
        match self {
            Self::File(path) => {
                let file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(true)
                    .mode(0o600)
                    .open(fresh(path))?;
                let path = path.clone();
                let out = BufWriter::new(file);
                Ok((Sink::File { out, path }, Landing(None)))
            }
            Self::Object(bucket, key) => {
                let (out, landing) = bucket.begin(key);
                Ok((Sink::Object(out), Landing(Some(landing))))
            }
        }
    }

    /// Clears away what was begun and did not become a backup. A bucket does that by itself.
    pub(super) fn clear(&self) {
        match self {
            Self::File(path) => {
                let _ = remove_if_there(&fresh(path));
            }
            Self::Object(..) => {}
        }
    }

    /// Begins to read a backup. Within a runtime, on a thread that may block.
    pub(super) fn open(&self) -> Result<Source, Fault> {
        match self {
            Self::File(path) => Ok(Source::File(File::open(path)?)),
            Self::Object(bucket, key) => Ok(Source::Object(bucket.fetch(key))),
        }
    }

    /// Deletes a backup, if it is there.
    pub(super) async fn remove(&self) -> Result<(), Fault> {
        match self {
            Self::File(path) => Ok(remove_if_there(path)?),
            Self::Object(bucket, key) => bucket.delete(key).await,
        }
    }
}

/// A backup that is being written. Dropped before [`Sink::finish`], it is none.
pub(super) enum Sink {
    File { out: BufWriter<File>, path: PathBuf },
    Object(Outgoing),
}

impl Sink {
    /// Ends it. A file is on the disk then, and an object on its way: see [`Landing`].
    pub(super) fn finish(self) -> Result<(), Fault> {
        match self {
            Self::File { out, path } => {
                out.into_inner().map_err(IntoInnerError::into_error)?.sync_all()?;
                fs::rename(fresh(&path), &path)?;
                sync_folder(&path)?;
            }
            Self::Object(out) => out.finish()?,
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File { out, .. } => out.write(bytes),
            Self::Object(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File { out, .. } => out.flush(),
            Self::Object(out) => out.flush(),
        }
    }
}

/// Tells whether an object has arrived. A file has when it is finished.
pub(super) struct Landing(Option<JoinHandle<Result<(), Fault>>>);

impl Landing {
    /// Waits until everything is there, or nothing of it. Fails when the store did.
    pub(super) async fn wait(self) -> Result<(), Fault> {
        match self.0 {
            Some(task) => task
                .await
                .map_err(|_| Error::internal("the sender of a backup panicked"))?,
            None => Ok(()),
        }
    }
}

/// A backup that is being read.
pub(super) enum Source {
    File(File),
    Object(Incoming),
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(into),
            Self::Object(object) => object.read(into),
        }
    }
}

/// Where a file is written before it has its name.
fn fresh(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// A name is on the disk when its folder is.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Deletes a file that may be gone already.
pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
