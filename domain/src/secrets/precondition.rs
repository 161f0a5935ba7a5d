//! What a writer says of the version that it means to change.

use crate::kernel::{Problem, ProblemCode, Result};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    #[default]
    None,
    /// The current version must be this one.
    Version(i64),
    /// There must be no such secret.
    Absent,
}

impl Precondition {
    /// `current` is the live version, `None` if there is none.
    ///
    /// # Errors
    /// `version_mismatch` with the current version.
    pub fn check(self, current: Option<i64>) -> Result<()> {
        let holds = match self {
            Self::None => true,
            Self::Version(wanted) => current == Some(wanted),
            Self::Absent => current.is_none(),
        };
        if holds {
            return Ok(());
        }
        let detail = "Somebody changed it in between, or it is not what you expected. Read it again and decide.";
        Err(Problem::new(ProblemCode::VersionMismatch, detail)
            .with("current_version", current.unwrap_or(0))
            .into())
    }
}
