//! Access rules as the API shows them.

use domain::access::Principal;
use domain::access::facts::{Effect as DomainEffect, Subject as DomainSubject};
use domain::policy::access_rule;
use domain::policy::put_rule::NewRule;
use domain::policy::subject::{NamedSubject, SubjectInput, SubjectKind};
use poem_openapi::{Enum, Object};

use super::role_dto::RoleLevel;
use crate::http::time::Time;

/// Kinds of subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SubjectType {
    /// A person's account.
    User,
    /// A machine's account.
    ServiceAccount,
    /// Everybody who holds the role where the resource lies.
    Role,
}

impl From<SubjectType> for SubjectKind {
    fn from(kind: SubjectType) -> Self {
        match kind {
            SubjectType::User => Self::User,
            SubjectType::ServiceAccount => Self::ServiceAccount,
            SubjectType::Role => Self::Role,
        }
    }
}

/// Whom a rule is about: by `id`, or by what the subject is called.
#[derive(Clone, Debug, Object)]
#[oai(deny_unknown_fields)]
pub struct SubjectReference {
    /// The kind of subject.
    #[oai(rename = "type")]
    pub kind: SubjectType,
    /// Id of the user (`usr_…`), service account (`sa_…`) or role (`rol_…`).
    pub id: Option<String>,
    /// Instead of `id`: an address that a user has verified.
    pub email: Option<String>,
    /// Instead of `id`: the name of a service account or role.
    pub name: Option<String>,
    /// With the name of a role: its level; `org` if absent.
    pub level: Option<RoleLevel>,
}

impl From<SubjectReference> for SubjectInput {
    fn from(reference: SubjectReference) -> Self {
        let SubjectReference {
            kind,
            id,
            email,
            name,
            level,
        } = reference;
        Self {
            kind: kind.into(),
            id,
            email,
            name,
            level: level.unwrap_or_default().into(),
        }
    }
}

/// A subject.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Subject {
    /// The kind of subject.
    #[oai(rename = "type")]
    pub kind: SubjectType,
    /// Id of the user (`usr_…`), service account (`sa_…`) or role (`rol_…`).
    pub id: String,
    /// The address of a user.
    pub email: Option<String>,
    /// The name of a service account or role.
    pub name: Option<String>,
}

impl From<NamedSubject> for Subject {
    fn from(subject: NamedSubject) -> Self {
        let NamedSubject { subject, label } = subject;
        let (kind, id, email, name) = match subject {
            DomainSubject::User(id) => (SubjectType::User, id.to_string(), Some(label), None),
            DomainSubject::ServiceAccount(id) => (SubjectType::ServiceAccount, id.to_string(), None, Some(label)),
            DomainSubject::Role(id) => (SubjectType::Role, id.to_string(), None, Some(label)),
        };
        Self { kind, id, email, name }
    }
}

/// Whether a rule adds or takes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Effect {
    /// It grants its permissions.
    #[default]
    Allow,
    /// It takes its permissions away, whatever else grants them.
    Deny,
}

impl From<Effect> for DomainEffect {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Allow => Self::Allow,
            Effect::Deny => Self::Deny,
        }
    }
}

impl From<DomainEffect> for Effect {
    fn from(effect: DomainEffect) -> Self {
        match effect {
            DomainEffect::Allow => Self::Allow,
            DomainEffect::Deny => Self::Deny,
        }
    }
}

/// What a rule is to say.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewAccessRule {
    /// Whom it is about.
    pub subject: SubjectReference,
    /// Where it applies: `project/environment/key`, each a name, `*`, a beginning with `*`, or `@class` for
    /// environments; a missing end is `*`. Named projects and environments are meant for good, also when they are
    /// renamed.
    pub pattern: String,
    /// Permissions such as `secrets:read@dev`. An allow rule takes those on projects, environments and secrets; a deny
    /// rule those on secrets, and `envs:read`.
    pub permissions: Vec<String>,
    /// Whether it adds or takes away.
    #[oai(default)]
    pub effect: Effect,
    /// From this instant on it counts for nothing. Absent: it stays.
    pub expires_at: Option<Time>,
}

impl From<NewAccessRule> for NewRule {
    fn from(rule: NewAccessRule) -> Self {
        let NewAccessRule {
            subject,
            pattern,
            permissions,
            effect,
            expires_at,
        } = rule;
        Self {
            subject: subject.into(),
            pattern,
            permissions,
            effect: effect.into(),
            expires_at: expires_at.map(|Time(at)| at),
        }
    }
}

/// An allow or deny rule.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AccessRule {
    /// Id of the rule: `acl_…`.
    pub id: String,
    /// Whom it is about.
    pub subject: Subject,
    /// Where it applies, in the names of today; what is deleted shows its id.
    pub pattern: String,
    /// Whether its pattern names a project or environment that is deleted. Then it applies nowhere, unless that is
    /// restored.
    pub stale: bool,
    /// What it adds or takes away.
    pub permissions: Vec<String>,
    /// Whether it adds or takes away.
    pub effect: Effect,
    /// From this instant on it counts for nothing; absent: it stays.
    pub expires_at: Option<Time>,
    /// Id of the account or service account that made it.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<access_rule::AccessRule> for AccessRule {
    fn from(rule: access_rule::AccessRule) -> Self {
        let access_rule::AccessRule {
            id,
            subject,
            pattern,
            is_stale,
            permissions,
            effect,
            expires_at,
            created_by,
            created_at,
            updated_at,
        } = rule;
        let maker = |by| match by {
            Principal::User(id) => id.to_string(),
            Principal::ServiceAccount(id) => id.to_string(),
        };
        Self {
            id: id.to_string(),
            subject: subject.into(),
            pattern,
            stale: is_stale,
            permissions,
            effect: effect.into(),
            expires_at: expires_at.map(Into::into),
            created_by: created_by.map(maker),
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}
