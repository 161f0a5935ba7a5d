//! Projects and environments as the API shows them.

use domain::access::{BuiltinRole, EnvClass as DomainClass};
use domain::projects::environment::{self, EnvironmentPatch as DomainEnvironmentPatch};
use domain::projects::joining::Joining;
use domain::projects::template_gate::TemplateGate as DomainGate;
use domain::projects::{project, settings};
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

/// What an environment is for; roles may read by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum EnvClass {
    /// Development, tests, previews.
    Dev,
    /// Everything that is checked before it goes live.
    Staging,
    /// What is live, and every environment whose name says nothing.
    Prod,
}

impl From<DomainClass> for EnvClass {
    fn from(class: DomainClass) -> Self {
        match class {
            DomainClass::Dev => Self::Dev,
            DomainClass::Staging => Self::Staging,
            DomainClass::Prod => Self::Prod,
        }
    }
}

impl From<EnvClass> for DomainClass {
    fn from(class: EnvClass) -> Self {
        match class {
            EnvClass::Dev => Self::Dev,
            EnvClass::Staging => Self::Staging,
            EnvClass::Prod => Self::Prod,
        }
    }
}

/// Who may join a project without being added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum ProjectJoinPolicy {
    /// Nobody.
    #[default]
    Closed,
    /// Everybody who has a role in the organisation.
    Open,
}

impl From<bool> for ProjectJoinPolicy {
    fn from(is_open: bool) -> Self {
        if is_open { Self::Open } else { Self::Closed }
    }
}

/// Which writes and promotions the project's template can refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum TemplateGate {
    /// None.
    #[default]
    Off,
    /// Those into protected environments.
    Protected,
}

impl From<DomainGate> for TemplateGate {
    fn from(gate: DomainGate) -> Self {
        match gate {
            DomainGate::Off => Self::Off,
            DomainGate::Protected => Self::Protected,
        }
    }
}

impl From<TemplateGate> for DomainGate {
    fn from(gate: TemplateGate) -> Self {
        match gate {
            TemplateGate::Off => Self::Off,
            TemplateGate::Protected => Self::Protected,
        }
    }
}

/// A new project.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewProject {
    /// Its name for people, up to 200 characters.
    pub name: String,
    /// Its name in paths: `[a-z0-9][a-z0-9-]{0,62}`. Absent: made from the name, with a few letters more if that is
    /// taken.
    pub slug: Option<String>,
    /// Up to 2000 characters.
    #[oai(default)]
    pub description: String,
}

/// All of a project that can be set.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct ProjectReplacement {
    /// Its name for people, up to 200 characters.
    pub name: String,
    /// Its name in paths.
    pub slug: String,
    /// Up to 2000 characters.
    #[oai(default)]
    pub description: String,
    /// Who may join without being added.
    #[oai(default)]
    pub join_policy: ProjectJoinPolicy,
    /// What joining gives: name or id of a role of projects that is not above yours. Absent: `viewer`.
    pub join_role: Option<String>,
    /// Which writes and promotions the template can refuse.
    #[oai(default)]
    pub template_gate: TemplateGate,
}

impl From<ProjectReplacement> for settings::ProjectPatch {
    fn from(all: ProjectReplacement) -> Self {
        let ProjectReplacement {
            name,
            slug,
            description,
            join_policy,
            join_role,
            template_gate,
        } = all;
        Self {
            name: Some(name),
            slug: Some(slug),
            description: Some(description),
            is_open: Some(join_policy == ProjectJoinPolicy::Open),
            join_role: join_role.or_else(|| Some(BuiltinRole::PROJECT_VIEWER.name.to_owned())),
            template_gate: Some(template_gate.into()),
        }
    }
}

/// Changes to a project; what is absent stays.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct ProjectPatch {
    /// Its name for people, up to 200 characters.
    pub name: Option<String>,
    /// Its name in paths. Paths with the old one stop working.
    pub slug: Option<String>,
    /// Up to 2000 characters.
    pub description: Option<String>,
    /// Who may join without being added.
    pub join_policy: Option<ProjectJoinPolicy>,
    /// What joining gives: name or id of a role of projects that is not above yours.
    pub join_role: Option<String>,
    /// Which writes and promotions the template can refuse. What is stored already is not held to it.
    pub template_gate: Option<TemplateGate>,
}

impl From<ProjectPatch> for settings::ProjectPatch {
    fn from(patch: ProjectPatch) -> Self {
        let ProjectPatch {
            name,
            slug,
            description,
            join_policy,
            join_role,
            template_gate,
        } = patch;
        Self {
            name,
            slug,
            description,
            is_open: join_policy.map(|policy| policy == ProjectJoinPolicy::Open),
            join_role,
            template_gate: template_gate.map(Into::into),
        }
    }
}

/// A project.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Project {
    /// Id of the project: `prj_…`.
    pub id: String,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What it is; may be empty.
    pub description: String,
    /// The caller's role in the project, or else in the organisation.
    pub role: Option<String>,
    /// Who may join without being added.
    pub join_policy: ProjectJoinPolicy,
    /// What joining gives: the name of a built-in role, or the id of one of the organisation's own.
    pub join_role: String,
    /// Which writes and promotions the template can refuse.
    pub template_gate: TemplateGate,
    /// Those of its environments that the caller may know of.
    pub environments: Vec<Environment>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<project::Project> for Project {
    fn from(project: project::Project) -> Self {
        let project::Project {
            id,
            slug,
            name,
            description,
            role,
            joining: Joining {
                is_open,
                role: join_role,
            },
            template_gate,
            environments,
            created_at,
            updated_at,
        } = project;
        Self {
            id: id.to_string(),
            slug,
            name,
            description,
            role,
            join_policy: is_open.into(),
            join_role: BuiltinRole::reference(join_role),
            template_gate: template_gate.into(),
            environments: environments.into_iter().map(Into::into).collect(),
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}

/// A new environment.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewEnvironment {
    /// Its name for people, up to 200 characters.
    pub name: String,
    /// Its name in paths: `[a-z0-9][a-z0-9-]{0,62}`. Absent: made from the name.
    pub slug: Option<String>,
    /// What it is for. Absent: inferred from the slug, and `prod` when that says nothing.
    pub class: Option<EnvClass>,
    /// Whether writes and promotions into it are gated: by the template, if the project's `template_gate` says so.
    #[oai(default)]
    pub protected: bool,
}

/// All of an environment that can be set.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct EnvironmentReplacement {
    /// Its name for people, up to 200 characters.
    pub name: String,
    /// Its name in paths.
    pub slug: String,
    /// What it is for.
    pub class: EnvClass,
    /// Whether writes and promotions into it are gated: by the template, if the project's `template_gate` says so.
    #[oai(default)]
    pub protected: bool,
}

impl From<EnvironmentReplacement> for DomainEnvironmentPatch {
    fn from(all: EnvironmentReplacement) -> Self {
        let EnvironmentReplacement {
            name,
            slug,
            class,
            protected,
        } = all;
        Self {
            name: Some(name),
            slug: Some(slug),
            class: Some(class.into()),
            protected: Some(protected),
        }
    }
}

/// Changes to an environment; what is absent stays.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct EnvironmentPatch {
    /// Its name for people, up to 200 characters.
    pub name: Option<String>,
    /// Its name in paths. Paths with the old one stop working.
    pub slug: Option<String>,
    /// What it is for. Roles that read by class are affected at once.
    pub class: Option<EnvClass>,
    /// Whether writes and promotions into it are gated: by the template, if the project's `template_gate` says so.
    pub protected: Option<bool>,
}

impl From<EnvironmentPatch> for DomainEnvironmentPatch {
    fn from(patch: EnvironmentPatch) -> Self {
        let EnvironmentPatch {
            name,
            slug,
            class,
            protected,
        } = patch;
        Self {
            name,
            slug,
            class: class.map(Into::into),
            protected,
        }
    }
}

/// An environment.
#[derive(Clone, Debug, Object)]
pub struct Environment {
    /// Id of the environment: `env_…`.
    pub id: String,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    pub class: EnvClass,
    /// Whether writes and promotions into it are gated: by the template, if the project's `template_gate` says so.
    pub protected: bool,
    /// Number of its last change; 0 before the first.
    pub revision: i64,
    /// When it was made.
    pub created_at: Time,
    /// When it, or a secret in it, last changed.
    pub updated_at: Time,
}

impl From<environment::Environment> for Environment {
    fn from(env: environment::Environment) -> Self {
        let environment::Environment {
            id,
            slug,
            name,
            class,
            protected,
            revision,
            created_at,
            updated_at,
        } = env;
        Self {
            id: id.to_string(),
            slug,
            name,
            class: class.into(),
            protected,
            revision,
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}
