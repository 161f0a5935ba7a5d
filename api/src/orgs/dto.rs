//! Organisations as the API shows them.

use std::collections::BTreeMap;

use domain::access::BuiltinRole;
use domain::orgs::joining::{JoinPolicy as DomainJoinPolicy, Joining};
use domain::orgs::organisation::Organisation;
use domain::orgs::settings::OrganisationPatch;
use poem_openapi::{Enum, Object};
use serde_json::Value;

use crate::http::time::Time;

/// Who may join without an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum JoinPolicy {
    /// Nobody.
    Closed,
    /// Whoever has a verified address in one of the organisation's domains.
    Domain,
    /// Everybody.
    Open,
}

impl From<DomainJoinPolicy> for JoinPolicy {
    fn from(policy: DomainJoinPolicy) -> Self {
        match policy {
            DomainJoinPolicy::Closed => Self::Closed,
            DomainJoinPolicy::Domain => Self::Domain,
            DomainJoinPolicy::Open => Self::Open,
        }
    }
}

impl From<JoinPolicy> for DomainJoinPolicy {
    fn from(policy: JoinPolicy) -> Self {
        match policy {
            JoinPolicy::Closed => Self::Closed,
            JoinPolicy::Domain => Self::Domain,
            JoinPolicy::Open => Self::Open,
        }
    }
}

/// A new organisation.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewOrg {
    /// Its name for people, up to 200 characters.
    pub name: String,
    /// Its name in paths: `[a-z0-9][a-z0-9-]{0,62}`. Absent: made from the name, with a few letters more if that is
    /// taken.
    pub slug: Option<String>,
}

/// Changes to an organisation; what is absent stays.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct OrgPatch {
    /// Its name for people, up to 200 characters.
    pub name: Option<String>,
    /// Its name in paths. Paths with the old one stop working.
    pub slug: Option<String>,
    /// Anything that you want to keep with it, up to 16 KiB; replaced as a whole.
    pub metadata: Option<BTreeMap<String, Value>>,
    /// Who may join without an invitation.
    pub join_policy: Option<JoinPolicy>,
    /// Domains for the policy `domain`, such as `example.com`; replaced as a whole. You need a verified address in
    /// each that you add.
    pub join_domains: Option<Vec<String>>,
    /// What joining gives: name or id of a role of the organisation that is not above yours.
    pub join_role: Option<String>,
    /// Whether its people must sign in with a second factor.
    pub require_mfa: Option<bool>,
    /// Whether it has users of its own, for its own application. Switched off, they are kept and their tokens stop
    /// working.
    pub realm_enabled: Option<bool>,
}

impl From<OrgPatch> for OrganisationPatch {
    fn from(patch: OrgPatch) -> Self {
        let OrgPatch {
            name,
            slug,
            metadata,
            join_policy,
            join_domains,
            join_role,
            require_mfa,
            realm_enabled,
        } = patch;
        Self {
            name,
            slug,
            metadata: metadata.map(|map| map.into_iter().collect()),
            join_policy: join_policy.map(Into::into),
            join_domains,
            join_role,
            require_mfa,
            realm_enabled,
        }
    }
}

/// An organisation.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Org {
    /// Id of the organisation: `org_…`.
    pub id: String,
    /// Its name in paths.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The caller's role in the whole organisation; absent for somebody who is in single projects only.
    pub role: Option<String>,
    /// Whether it came with an account.
    pub is_personal: bool,
    /// The plan that its limits come from.
    pub plan: String,
    /// Who may join without an invitation.
    pub join_policy: JoinPolicy,
    /// Domains for the policy `domain`.
    pub join_domains: Vec<String>,
    /// What joining gives: the name of a built-in role, or the id of one of the organisation's own.
    pub join_role: String,
    /// Whether its people must sign in with a second factor.
    pub require_mfa: bool,
    /// Whether it has users of its own, for its own application.
    pub realm_enabled: bool,
    /// What its people keep with it.
    pub metadata: BTreeMap<String, Value>,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
}

impl From<Organisation> for Org {
    fn from(org: Organisation) -> Self {
        let Organisation {
            id,
            slug,
            name,
            role,
            is_personal,
            plan,
            joining:
                Joining {
                    policy,
                    domains,
                    role: join_role,
                },
            require_mfa,
            realm_enabled,
            metadata,
            created_at,
            updated_at,
        } = org;
        Self {
            id: id.to_string(),
            slug,
            name,
            role,
            is_personal,
            plan,
            join_policy: policy.into(),
            join_domains: domains,
            join_role: BuiltinRole::reference(join_role),
            require_mfa,
            realm_enabled,
            metadata: metadata.into_iter().collect(),
            created_at: created_at.into(),
            updated_at: updated_at.into(),
        }
    }
}
