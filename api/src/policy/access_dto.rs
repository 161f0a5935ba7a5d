//! Questions about access and their answers.

use domain::access::decide::Reason;
use domain::access::decide::explain::Outcome;
use domain::policy::explain::Explained;
use domain::policy::fact::{Fact, Ground};
use domain::policy::question::Place;
use domain::policy::subject::Inactive;
use domain::policy::who_can::Entitled;
use poem_openapi::{Enum, Object};

use super::role_dto::RoleLevel;
use super::rule_dto::{Effect, NewAccessRule, Subject, SubjectReference};
use crate::http::time::Time;

/// What is supposed for the length of a question.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct WhatIf {
    /// A rule, checked as if it were to be stored: it would replace the one about the same subject and place.
    pub rule: NewAccessRule,
}

/// A question about somebody's access.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct AccessQuestion {
    /// Who would do it: a person or a service account, asked for as with a credential that narrows nothing. Absent: you,
    /// as the credential that you ask with narrows you.
    pub subject: Option<SubjectReference>,
    /// What would be done: a permission such as `secrets:read`, without a class.
    pub permission: String,
    /// Where: id or slug of a project. Absent: in the whole organisation.
    pub project: Option<String>,
    /// With `project`: id or slug of one of its environments. Permissions on secrets need it.
    pub environment: Option<String>,
    /// With `environment`: a key, whether or not there is a secret of it. Absent for a permission on secrets: whether it
    /// is allowed for at least some key, as it must be for a list.
    pub key: Option<String>,
    /// Decide as if this were so too. It needs `acl:manage`.
    pub what_if: Option<WhatIf>,
}

impl AccessQuestion {
    /// Who, what, where, and what is supposed.
    pub fn into_parts(self) -> (Option<SubjectReference>, String, Place, Option<NewAccessRule>) {
        let Self {
            subject,
            permission,
            project,
            environment,
            key,
            what_if,
        } = self;
        let place = Place {
            project,
            environment,
            key,
        };
        (subject, permission, place, what_if.map(|WhatIf { rule }| rule))
    }
}

/// Why a decision falls as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum AccessReason {
    /// A role grants it.
    Role,
    /// An allow rule grants it.
    AclAllow,
    /// A deny rule denies it, whatever grants it.
    AclDeny,
    /// Nothing grants it.
    NoGrant,
    /// The credential works in another organisation only.
    TokenOrg,
    /// The credential's scopes do not cover it.
    InsufficientScope,
    /// None of the places that the credential works in is this one.
    TokenPattern,
}

impl From<Reason> for AccessReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::TokenOrg => Self::TokenOrg,
            Reason::InsufficientScope => Self::InsufficientScope,
            Reason::TokenPattern => Self::TokenPattern,
            Reason::AclDeny => Self::AclDeny,
            Reason::Role => Self::Role,
            Reason::AclAllow => Self::AclAllow,
            Reason::NoGrant => Self::NoGrant,
        }
    }
}

/// Why somebody is let in nowhere in the organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum InactiveReason {
    /// The account is switched off.
    Disabled,
    /// The organisation wants a second factor of people, and this account has none.
    NoSecondFactor,
}

impl From<Inactive> for InactiveReason {
    fn from(inactive: Inactive) -> Self {
        match inactive {
            Inactive::Disabled => Self::Disabled,
            Inactive::NoSecondFactor => Self::NoSecondFactor,
        }
    }
}

/// What was weighed for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum AccessFactType {
    /// A role that the subject holds.
    Role,
    /// An access rule about the subject, or about a role that it holds.
    Rule,
}

/// What a role or rule comes to for the permission that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum AccessOutcome {
    /// It grants it.
    Grants,
    /// It denies it.
    Denies,
    /// Neither, though it touches the place.
    Nothing,
}

impl From<Outcome> for AccessOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Grants => Self::Grants,
            Outcome::Denies => Self::Denies,
            Outcome::Nothing => Self::Nothing,
        }
    }
}

/// A role or rule that was weighed for a decision.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AccessFact {
    /// What it is.
    #[oai(rename = "type")]
    pub kind: AccessFactType,
    /// Id of the role (`rol_…`) or rule (`acl_…`); absent for a rule of `what_if` that would be new.
    pub id: Option<String>,
    /// Of a role: its name.
    pub name: Option<String>,
    /// Of a role: where it is held.
    pub level: Option<RoleLevel>,
    /// Of a role that is held in a project: the project's name in paths.
    pub project: Option<String>,
    /// Of a rule: whom it is about.
    pub subject: Option<Subject>,
    /// Of a rule: where it applies; what is deleted, or hidden from you, shows its id.
    pub pattern: Option<String>,
    /// Of a rule: whether it adds or takes away.
    pub effect: Option<Effect>,
    /// What it says of the permission that was asked for, such as `secrets:read@dev`; empty when it does not name it.
    pub permissions: Vec<String>,
    /// From this instant on it counts for nothing; absent: it stays.
    pub expires_at: Option<Time>,
    /// What it comes to.
    pub outcome: AccessOutcome,
    /// Whether it is the rule of `what_if`.
    pub what_if: bool,
}

impl From<Fact> for AccessFact {
    fn from(fact: Fact) -> Self {
        let Fact {
            ground,
            permissions,
            expires_at,
            outcome,
            is_supposed,
        } = fact;
        let bare = |kind, id| Self {
            kind,
            id,
            name: None,
            level: None,
            project: None,
            subject: None,
            pattern: None,
            effect: None,
            permissions,
            expires_at: expires_at.map(Into::into),
            outcome: outcome.into(),
            what_if: is_supposed,
        };
        match ground {
            Ground::Role { id, name, project } => Self {
                name: Some(name),
                level: Some(match project {
                    None => RoleLevel::Org,
                    Some(_) => RoleLevel::Project,
                }),
                project,
                ..bare(AccessFactType::Role, Some(id.to_string()))
            },
            Ground::Rule {
                id,
                subject,
                pattern,
                effect,
            } => Self {
                subject: Some(subject.into()),
                pattern: Some(pattern),
                effect: Some(effect.into()),
                ..bare(AccessFactType::Rule, id.map(|id| id.to_string()))
            },
        }
    }
}

/// Whether somebody may do something, and why.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct AccessExplanation {
    /// Whether a request of the subject would be let through now.
    pub allowed: bool,
    /// What roles, rules and the credential come to. With `subject_active: false` nothing is allowed whatever it says.
    pub reason: AccessReason,
    /// Whether the subject may know of the place. If not, it is told `not_found` instead of `forbidden`.
    pub visible: bool,
    /// Of whom this is.
    pub subject: Subject,
    /// Whether the subject is let in at all. What credentials it has is not looked at: none of its own may be left, they
    /// may have scopes, and a session may have been opened without the second factor that the account has.
    pub subject_active: bool,
    /// Why it is not let in, when it is not.
    pub inactive_reason: Option<InactiveReason>,
    /// With `no_grant`: the least that would have to be granted, such as `secrets:read@prod`. With
    /// `insufficient_scope`: what the credential's scopes would have to have.
    pub missing: Option<String>,
    /// The role or rule that settled it; of several the one with the least id.
    pub matched: Option<AccessFact>,
    /// Every role and rule of the subject's that counts now and touches the place: denials, roles, allowances.
    pub considered: Vec<AccessFact>,
}

impl From<Explained> for AccessExplanation {
    fn from(explained: Explained) -> Self {
        let allowed = explained.is_allowed();
        let Explained {
            subject,
            decision,
            is_visible,
            inactive,
            missing,
            matched,
            considered,
        } = explained;
        Self {
            allowed,
            reason: decision.reason.into(),
            visible: is_visible,
            subject: subject.into(),
            subject_active: inactive.is_none(),
            inactive_reason: inactive.map(Into::into),
            missing: missing.map(|grant| grant.to_string()),
            matched: matched.map(Into::into),
            considered: considered.into_iter().map(Into::into).collect(),
        }
    }
}

/// Somebody who may.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct EntitledSubject {
    /// Who.
    pub subject: Subject,
    /// Whether it is let in at all now; else it may once it is active again.
    pub subject_active: bool,
    /// Why it is not let in, when it is not.
    pub inactive_reason: Option<InactiveReason>,
    /// What grants it: `role` or `acl_allow`.
    pub reason: AccessReason,
    /// The role or rule that grants it; of several the one with the least id.
    pub matched: Option<AccessFact>,
}

impl From<Entitled> for EntitledSubject {
    fn from(entitled: Entitled) -> Self {
        let Entitled {
            subject,
            inactive,
            reason,
            matched,
        } = entitled;
        Self {
            subject: subject.into(),
            subject_active: inactive.is_none(),
            inactive_reason: inactive.map(Into::into),
            reason: reason.into(),
            matched: matched.map(Into::into),
        }
    }
}
