//! Why a backup or a restoration comes to nothing.

use std::borrow::Cow;
use std::io;

use sea_orm::DbErr;

use crate::kernel::Error;

/// Trying again may help with what is ours, the disk's or the store's, and not with what is refused.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file, the key or the database is not what it has to be.
    #[error("{0}")]
    Refused(Cow<'static, str>),
    #[error("the backup folder: {0}")]
    Io(io::Error),
    /// The bucket's store is busy or away.
    #[error("the backup store: {0}")]
    Store(String),
    #[error(transparent)]
    Ours(#[from] Error),
}

impl Fault {
    pub(super) fn refused(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused(why.into())
    }

    /// What does not open, or is not written as a backup is. One text whatever the cause.
    pub(super) fn damaged() -> Self {
        Self::refused("The backup does not open: it was altered or cut short, or made under another backup key.")
    }
}

/// The opener of a sealed stream calls invalid what does not open, and a file that ends in the middle is cut short.
/// One that is gone does not come back by itself. What a bucket says comes through as it is.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(fault) => return fault,
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::damaged(),
            io::ErrorKind::NotFound => {
                Self::refused("The file of the backup is not there, or its folder is another one here.")
            }
            _ => Self::Io(error),
        }
    }
}

impl From<DbErr> for Fault {
    fn from(error: DbErr) -> Self {
        Self::Ours(error.into())
    }
}
