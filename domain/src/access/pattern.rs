//! Where a rule or a token applies: `project/env/key`. A segment is a literal, `*`, `prefix*`, or for the
//! environment `@class`; a missing tail is `*`. No `**`, no `?`, no regular expressions.
//!
//! A pattern is written with slugs ([`PatternText`]) and kept with ids ([`Pattern`]), so that a rename or a
//! re-creation under the same name never changes what a rule means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::class::EnvClass;
use super::facts::Resource;
use crate::kernel::id::{EnvId, ProjectId};
use crate::kernel::text::is_slug;

/// Longest key, characters. Source: design of the API, limits.
const MAX_KEY_LEN: usize = 255;

/// Text that is no pattern, or names what does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern is project/env/key, so it has at most three segments")]
    TooLong,
    #[error("the project must be a slug, * or prefix*")]
    Project,
    #[error("the environment must be a slug, *, prefix*, @dev, @staging or @prod")]
    Env,
    #[error("the key must be a key, * or prefix*")]
    Key,
    #[error("no such project")]
    UnknownProject,
    #[error("no such environment in the project")]
    UnknownEnv,
}

/// A segment that names by text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    /// `*`: anything, and nothing too.
    Any,
    /// `prefix*`
    Prefix(String),
    /// The very name.
    Literal(String),
}

impl Name {
    /// Reads a segment whose names are what `is_name` accepts.
    fn parse(text: &str, is_name: fn(&str) -> bool) -> Option<Self> {
        match text.strip_suffix('*') {
            Some("") => Some(Self::Any),
            Some(prefix) => is_name(prefix).then(|| Self::Prefix(prefix.to_owned())),
            None => is_name(text).then(|| Self::Literal(text.to_owned())),
        }
    }

    fn matches(&self, name: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Prefix(prefix) => name.is_some_and(|name| name.starts_with(prefix.as_str())),
            Self::Literal(literal) => name == Some(literal),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
            Self::Literal(literal) => f.write_str(literal),
        }
    }
}

/// An environment segment as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum EnvText {
    Name(Name),
    Class(EnvClass),
}

impl EnvText {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('@') {
            Some(class) => EnvClass::parse(class).ok().map(Self::Class),
            None => Name::parse(text, is_slug).map(Self::Name),
        }
    }
}

fn is_key(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    text.len() <= MAX_KEY_LEN
        && text
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.bytes().all(inner)
}

/// A pattern as people write it. Displays in its one canonical form, with all three segments: `web/@prod/*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PatternText {
    project: Name,
    env: EnvText,
    key: Name,
}

impl PatternText {
    /// Checks the grammar; whether the project and environment exist is for [`PatternText::resolve`] to say.
    ///
    /// # Errors
    /// The segment that does not fit.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut segments = text.split('/');
        let mut next = || segments.next().unwrap_or("*");
        let (project, env, key) = (next(), next(), next());
        if segments.next().is_some() {
            return Err(PatternError::TooLong);
        }
        Ok(Self {
            project: Name::parse(project, is_slug).ok_or(PatternError::Project)?,
            env: EnvText::parse(env).ok_or(PatternError::Env)?,
            key: Name::parse(key, is_key).ok_or(PatternError::Key)?,
        })
    }

    /// Replaces the names of a project and its environment by their ids. An environment named without one project
    /// stays a name.
    ///
    /// # Errors
    /// [`PatternError::UnknownProject`] or [`PatternError::UnknownEnv`] when the look-up finds none.
    pub fn resolve(
        &self,
        project_id: impl FnOnce(&str) -> Option<ProjectId>,
        env_id: impl FnOnce(ProjectId, &str) -> Option<EnvId>,
    ) -> Result<Pattern, PatternError> {
        let project = match &self.project {
            Name::Any => ProjectPart::Any,
            Name::Prefix(prefix) => ProjectPart::Prefix(prefix.clone()),
            Name::Literal(slug) => ProjectPart::Id(project_id(slug).ok_or(PatternError::UnknownProject)?),
        };
        let env = match (&self.env, &project) {
            (EnvText::Class(class), _) => EnvPart::Class(*class),
            (EnvText::Name(Name::Any), _) => EnvPart::Any,
            (EnvText::Name(Name::Prefix(prefix)), _) => EnvPart::Prefix(prefix.clone()),
            (EnvText::Name(Name::Literal(slug)), ProjectPart::Id(project)) => {
                EnvPart::Id(env_id(*project, slug).ok_or(PatternError::UnknownEnv)?)
            }
            (EnvText::Name(Name::Literal(slug)), ProjectPart::Any | ProjectPart::Prefix(_)) => {
                EnvPart::Literal(slug.clone())
            }
        };
        Ok(Pattern {
            project,
            env,
            key: self.key.clone(),
        })
    }
}

impl fmt::Display for PatternText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.env {
            EnvText::Name(name) => write!(f, "{}/{name}/{}", self.project, self.key),
            EnvText::Class(class) => write!(f, "{}/@{class}/{}", self.project, self.key),
        }
    }
}

impl FromStr for PatternText {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ProjectPart {
    Any,
    Prefix(String),
    Id(ProjectId),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EnvPart {
    Any,
    Prefix(String),
    /// A name in whatever project.
    Literal(String),
    Class(EnvClass),
    Id(EnvId),
}

/// A pattern as stored: `{"project":{"id":"prj_…"},"env":{"class":"prod"},"key":"any"}`. All parts are always there,
/// so that a part that went missing is an error and never a wildcard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    project: ProjectPart,
    env: EnvPart,
    key: Name,
}

impl Pattern {
    /// `*/*/*`
    pub const ANYTHING: Self = Self {
        project: ProjectPart::Any,
        env: EnvPart::Any,
        key: Name::Any,
    };

    /// Whether it may match one key of an environment and not another.
    pub fn tells_keys_apart(&self) -> bool {
        self.key != Name::Any
    }

    /// Everything in one project.
    pub const fn in_project(project: ProjectId) -> Self {
        Self {
            project: ProjectPart::Id(project),
            env: EnvPart::Any,
            key: Name::Any,
        }
    }

    /// As people write it: ids of projects and environments replaced by their slugs of today. What has no slug any
    /// more keeps its id. Without any look-up it is the canonical form, in which equal patterns are equal texts.
    pub fn to_text<'a>(
        &self,
        project_slug: impl FnOnce(ProjectId) -> Option<&'a str>,
        env_slug: impl FnOnce(EnvId) -> Option<&'a str>,
    ) -> String {
        let project = match &self.project {
            ProjectPart::Any => "*".to_owned(),
            ProjectPart::Prefix(prefix) => format!("{prefix}*"),
            ProjectPart::Id(id) => project_slug(*id).map_or_else(|| id.to_string(), str::to_owned),
        };
        let env = match &self.env {
            EnvPart::Any => "*".to_owned(),
            EnvPart::Prefix(prefix) => format!("{prefix}*"),
            EnvPart::Literal(slug) => slug.clone(),
            EnvPart::Class(class) => format!("@{class}"),
            EnvPart::Id(id) => env_slug(*id).map_or_else(|| id.to_string(), str::to_owned),
        };
        format!("{project}/{env}/{}", self.key)
    }

    /// The one class of environments that it covers, if it names a class.
    pub const fn class(&self) -> Option<EnvClass> {
        match self.env {
            EnvPart::Class(class) => Some(class),
            EnvPart::Any | EnvPart::Prefix(_) | EnvPart::Literal(_) | EnvPart::Id(_) => None,
        }
    }

    /// Whether it covers every key of the environments that it covers, and so the environments themselves.
    pub fn covers_environments(&self) -> bool {
        self.key == Name::Any
    }

    /// Whether it covers everything in the projects that it covers, and so the projects themselves.
    pub fn covers_projects(&self) -> bool {
        self.env == EnvPart::Any && self.covers_environments()
    }

    /// The project that it names, if it names one.
    pub fn project_id(&self) -> Option<ProjectId> {
        match self.project {
            ProjectPart::Id(id) => Some(id),
            ProjectPart::Any | ProjectPart::Prefix(_) => None,
        }
    }

    /// The environment that it names, if it names one.
    pub fn env_id(&self) -> Option<EnvId> {
        match self.env {
            EnvPart::Id(id) => Some(id),
            EnvPart::Any | EnvPart::Prefix(_) | EnvPart::Literal(_) | EnvPart::Class(_) => None,
        }
    }

    /// Whether it covers the very resource. At a level that the resource does not have, only `*` matches.
    pub fn matches(&self, resource: &Resource<'_>) -> bool {
        self.matches_project(resource) && self.matches_env(resource) && self.key.matches(resource.key)
    }

    /// Whether it covers the resource or could cover something inside it: levels that the resource does not have
    /// are left open.
    pub fn could_match_inside(&self, resource: &Resource<'_>) -> bool {
        (resource.project.is_none() || self.matches_project(resource))
            && (resource.env.is_none() || self.matches_env(resource))
            && (resource.key.is_none() || self.key.matches(resource.key))
    }

    fn matches_project(&self, resource: &Resource<'_>) -> bool {
        match &self.project {
            ProjectPart::Any => true,
            ProjectPart::Prefix(prefix) => resource.project.is_some_and(|at| at.slug.starts_with(prefix.as_str())),
            ProjectPart::Id(id) => resource.project.is_some_and(|at| at.id == *id),
        }
    }

    fn matches_env(&self, resource: &Resource<'_>) -> bool {
        match &self.env {
            EnvPart::Any => true,
            EnvPart::Prefix(prefix) => resource.env.is_some_and(|at| at.slug.starts_with(prefix.as_str())),
            EnvPart::Literal(slug) => resource.env.is_some_and(|at| at.slug == slug),
            EnvPart::Class(class) => resource.env.is_some_and(|at| at.class == *class),
            EnvPart::Id(id) => resource.env.is_some_and(|at| at.id == *id),
        }
    }
}

/// The canonical form, over ids.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(|_| None, |_| None))
    }
}

#[cfg(test)]
mod tests;
