//! Whether protected environments of a project are held to its template.

use super::entity::project;
use crate::kernel::{Error, Result};

/// Which writes and promotions the template can refuse. The editor of secrets asks for it by its stored form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TemplateGate {
    /// None: the template is only asked about.
    #[default]
    Off,
    /// Those into protected environments.
    Protected,
}

impl TemplateGate {
    /// The gate as stored and published: `protected`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Protected => "protected",
        }
    }

    pub(super) fn read(row: &project::Model) -> Result<Self> {
        [Self::Off, Self::Protected]
            .into_iter()
            .find(|gate| gate.as_str() == row.template_gate)
            .ok_or_else(|| Error::internal(format!("project {} is stored wrongly", row.id)))
    }
}
