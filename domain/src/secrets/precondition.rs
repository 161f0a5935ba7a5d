//! What a writer says of the version that it means to change.

use crate::kernel::{Error, Problem, ProblemCode, Result};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    #[default]
    None,
    /// The current version must be this one.
    Version(i64),
    /// There must be no such secret.
    Absent,
    /// The same for a caller who makes one and speaks of no versions.
    New,
}

impl Precondition {
    /// `current` is the live version, `None` if there is none.
    ///
    /// # Errors
    /// `version_mismatch` with the current version; `key_taken`.
    pub fn check(self, current: Option<i64>) -> Result<()> {
        let holds = match self {
            Self::None => true,
            Self::Version(wanted) => current == Some(wanted),
            Self::Absent | Self::New => current.is_none(),
        };
        if holds {
            return Ok(());
        }
        if self == Self::New {
            return Err(key_taken());
        }
        let detail = "Somebody changed it in between, or it is not what you expected. Read it again and decide.";
        Err(Problem::new(ProblemCode::VersionMismatch, detail)
            .with("current_version", current.unwrap_or(0))
            .into())
    }
}

pub(super) fn key_taken() -> Error {
    Problem::new(
        ProblemCode::KeyTaken,
        "A secret of this key exists. Use PUT to change it.",
    )
    .with("field", "key")
    .into()
}
