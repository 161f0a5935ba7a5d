//! An environment's history as the API shows it.

use domain::kernel::id::{ServiceAccountId, UserId};
use domain::secrets::entity::{pin, revision};
use domain::secrets::revision::{Comparison, Difference, KeyDifference, Revision};
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

/// Who made a revision.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct RevisionAuthor {
    /// `user`, `service_account` or `system`.
    #[oai(rename = "type")]
    pub kind: String,
    /// Id of the account or service account.
    pub id: String,
    /// E-mail of a person or name of a service account, as it was then.
    pub name: Option<String>,
}

/// One revision of an environment.
#[derive(Clone, Debug, Object)]
pub struct EnvironmentRevision {
    /// Its number, from 1.
    pub revision: i64,
    /// What made it, as the audit log calls it: `secret.promoted`.
    pub action: String,
    /// How many secrets it changed.
    pub changes: i64,
    /// Names that were given to it.
    pub pins: Vec<String>,
    /// When it was made.
    pub created_at: Time,
    /// Who made it.
    pub created_by: RevisionAuthor,
}

impl From<Revision> for EnvironmentRevision {
    fn from(revision: Revision) -> Self {
        let Revision { row, pins } = revision;
        let revision::Model {
            environment_id: _,
            revision,
            action,
            changes,
            author_type,
            author_id,
            author_label,
            created_at,
        } = row;
        let id = match author_type.as_str() {
            "service_account" => ServiceAccountId(author_id).to_string(),
            _ => UserId(author_id).to_string(),
        };
        Self {
            revision,
            action,
            changes,
            pins,
            created_at: created_at.into(),
            created_by: RevisionAuthor {
                kind: author_type,
                id,
                name: author_label,
            },
        }
    }
}

/// A name for a revision.
#[derive(Clone, Debug, Object)]
pub struct RevisionPin {
    /// The name, wherever a revision can be named.
    pub name: String,
    /// The revision that it names.
    pub revision: i64,
    /// When it was given.
    pub created_at: Time,
}

impl From<pin::Model> for RevisionPin {
    fn from(row: pin::Model) -> Self {
        let pin::Model {
            environment_id: _,
            name,
            revision,
            created_at,
        } = row;
        Self {
            name,
            revision,
            created_at: created_at.into(),
        }
    }
}

/// What a name is to be for.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct PutPin {
    /// A revision of the environment. Absent: the current one.
    pub revision: Option<i64>,
}

/// Where to go back to.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RollbackEnvironment {
    /// A revision of the environment, or the name of a pin.
    pub revision: String,
    /// Only tell what would happen.
    #[oai(default)]
    pub dry_run: bool,
}

/// How a key differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// Only the second state has it.
    Added,
    /// Both have it, with different values.
    Changed,
    /// Only the first state has it.
    Removed,
    /// Both have it, with one value.
    Same,
}

impl From<Difference> for DifferenceKind {
    fn from(difference: Difference) -> Self {
        match difference {
            Difference::Added => Self::Added,
            Difference::Changed => Self::Changed,
            Difference::Removed => Self::Removed,
            Difference::Same => Self::Same,
        }
    }
}

/// One key of a comparison.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct KeyComparison {
    /// The key.
    pub key: String,
    /// How it differs.
    pub difference: DifferenceKind,
    /// Its version in the first state.
    pub from_version: Option<i64>,
    /// Its version in the second state.
    pub to_version: Option<i64>,
}

/// A comparison of two states. Values are compared and never shown.
#[derive(Clone, Debug, Object)]
pub struct EnvironmentDiff {
    /// Revision of the first state.
    pub from_revision: i64,
    /// Revision of the second state.
    pub to_revision: i64,
    /// The keys that the caller may read in both, sorted.
    pub keys: Vec<KeyComparison>,
}

impl From<Comparison> for EnvironmentDiff {
    fn from(comparison: Comparison) -> Self {
        let Comparison {
            from_revision,
            to_revision,
            keys,
        } = comparison;
        let entry = |entry: KeyDifference| {
            let KeyDifference {
                key,
                difference,
                from_version,
                to_version,
            } = entry;
            KeyComparison {
                key,
                difference: difference.into(),
                from_version,
                to_version,
            }
        };
        Self {
            from_revision,
            to_revision,
            keys: keys.into_iter().map(entry).collect(),
        }
    }
}
