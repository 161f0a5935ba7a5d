//! What a decision is made of: who asks, for what, and what they were given.

use super::class::{ClassSet, EnvClass};
use super::pattern::Pattern;
use super::permission::{GrantSet, Permission};
use crate::kernel::Timestamp;
use crate::kernel::id::{AclRuleId, EnvId, OrgId, ProjectId, RoleId, ServiceAccountId, UserId};

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    User(UserId),
    ServiceAccount(ServiceAccountId),
}

/// Whom an ACL rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    User(UserId),
    ServiceAccount(ServiceAccountId),
    /// Everyone who holds the role where the resource lies.
    Role(RoleId),
}

impl From<Principal> for Subject {
    fn from(principal: Principal) -> Self {
        match principal {
            Principal::User(id) => Self::User(id),
            Principal::ServiceAccount(id) => Self::ServiceAccount(id),
        }
    }
}

/// What a credential narrows its principal to. The default narrows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ceiling {
    /// Nothing beyond these; `None` = all that the principal may.
    pub grants: Option<GrantSet>,
    /// Only where one of these matches; empty = everywhere.
    pub patterns: Vec<Pattern>,
    /// Only in this organisation; `None` = in all.
    pub org: Option<OrgId>,
}

impl Ceiling {
    /// What every key of a service account is narrowed to: its organisation, and its project if it has one.
    pub fn of_service_account(org: OrgId, project: Option<ProjectId>) -> Self {
        Self {
            grants: None,
            patterns: project.map(Pattern::in_project).into_iter().collect(),
            org: Some(org),
        }
    }
}

/// A principal behind a live credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    pub principal: Principal,
    pub ceiling: Ceiling,
}

impl Actor {
    /// With a credential that narrows nothing, such as a browser session.
    pub fn unlimited(principal: Principal) -> Self {
        Self {
            principal,
            ceiling: Ceiling::default(),
        }
    }
}

/// A role held at an organisation or at one project.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Membership {
    pub org: OrgId,
    /// `None` = in the whole organisation.
    pub project: Option<ProjectId>,
    pub role: RoleId,
    pub role_name: String,
    pub grants: GrantSet,
    /// Where the role's `secrets:read` reaches instead; a role without it gains nothing.
    pub env_classes: Option<ClassSet>,
    /// From this instant on it counts as absent.
    pub expires_at: Option<Timestamp>,
}

impl Membership {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }

    /// Whether the resource lies in the organisation or project that it is held at.
    pub fn reaches(&self, resource: &Resource<'_>) -> bool {
        self.org == resource.org
            && self
                .project
                .is_none_or(|project| resource.project.is_some_and(|at| at.id == project))
    }

    /// What it grants, `env_classes` applied.
    pub fn effective_grants(&self) -> GrantSet {
        match self.env_classes {
            None => self.grants.clone(),
            Some(classes) => self.grants.clone().narrowed_to(Permission::SecretsRead, classes),
        }
    }
}

/// Whether an ACL rule adds or takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Allow,
    Deny,
}

impl Effect {
    /// The effect as stored and published: `allow`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// Reads the stored form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Allow, Self::Deny]
            .into_iter()
            .find(|effect| effect.as_str() == text)
    }
}

/// Grants added to or taken from a subject wherever a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AclRule {
    pub id: AclRuleId,
    pub org: OrgId,
    pub subject: Subject,
    pub pattern: Pattern,
    pub grants: GrantSet,
    pub effect: Effect,
    /// From this instant on it counts as absent.
    pub expires_at: Option<Timestamp>,
}

impl AclRule {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}

/// What one principal was given in one organisation. The order means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    pub memberships: Vec<Membership>,
    /// Rules about the principal or about a role.
    pub rules: Vec<AclRule>,
}

/// The project that a resource is or lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProjectRef<'a> {
    pub id: ProjectId,
    pub slug: &'a str,
}

/// The environment that a resource is or lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvRef<'a> {
    pub id: EnvId,
    pub slug: &'a str,
    pub class: EnvClass,
}

/// What is acted on: an organisation, a project, an environment or one key. Deeper levels are absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    pub org: OrgId,
    pub project: Option<ProjectRef<'a>>,
    pub env: Option<EnvRef<'a>>,
    pub key: Option<&'a str>,
}

impl<'a> Resource<'a> {
    pub const fn org(org: OrgId) -> Self {
        Self {
            org,
            project: None,
            env: None,
            key: None,
        }
    }

    pub const fn project(org: OrgId, project: ProjectRef<'a>) -> Self {
        Self {
            org,
            project: Some(project),
            env: None,
            key: None,
        }
    }

    pub const fn env(org: OrgId, project: ProjectRef<'a>, env: EnvRef<'a>) -> Self {
        Self {
            org,
            project: Some(project),
            env: Some(env),
            key: None,
        }
    }

    /// One key of this environment.
    #[must_use]
    pub const fn with_key(self, key: &'a str) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The class of its environment, if it lies in one.
    pub fn class(&self) -> Option<EnvClass> {
        self.env.map(|env| env.class)
    }
}
