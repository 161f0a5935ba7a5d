//! The one function that decides. Pure and total: nothing here can fail, wait or depend on the order of the facts.
//!
//! The credential can only narrow. Then deny rules, memberships and allow rules are asked in that order: a deny
//! overrides whatever grants, and without a grant the answer is no.

pub mod explain;

use super::facts::{AclRule, Actor, Effect, Facts, Membership, Principal, Resource, Subject};
use super::pattern::Pattern;
use super::permission::{GrantSet, Permission, Reach};
use crate::kernel::Timestamp;
use crate::kernel::id::{AclRuleId, ProjectId, RoleId};

/// Why a decision fell as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The credential is bound to another organisation.
    TokenOrg,
    /// The credential's scopes do not cover the permission.
    InsufficientScope,
    /// None of the credential's patterns matches.
    TokenPattern,
    /// A deny rule matches.
    AclDeny,
    /// A role grants it.
    Role,
    /// An allow rule grants it.
    AclAllow,
    /// Nothing grants it.
    NoGrant,
}

impl Reason {
    pub const ALL: [Self; 7] = [
        Self::TokenOrg,
        Self::InsufficientScope,
        Self::TokenPattern,
        Self::AclDeny,
        Self::Role,
        Self::AclAllow,
        Self::NoGrant,
    ];

    /// The reason as published: `acl_deny`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokenOrg => "token_org",
            Self::InsufficientScope => "insufficient_scope",
            Self::TokenPattern => "token_pattern",
            Self::AclDeny => "acl_deny",
            Self::Role => "role",
            Self::AclAllow => "acl_allow",
            Self::NoGrant => "no_grant",
        }
    }

    /// Whether it is a reason to allow.
    pub const fn allows(self) -> bool {
        match self {
            Self::Role | Self::AclAllow => true,
            Self::TokenOrg | Self::InsufficientScope | Self::TokenPattern | Self::AclDeny | Self::NoGrant => false,
        }
    }
}

/// The fact that settled a decision. Of several it is the least, so that the answer does not hang on their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matched {
    /// A role, held at a project or at the whole organisation.
    Role {
        project: Option<ProjectId>,
        role: RoleId,
    },
    Rule(AclRuleId),
}

impl From<&Membership> for Matched {
    fn from(held: &Membership) -> Self {
        Self::Role {
            project: held.project,
            role: held.role,
        }
    }
}

impl From<&AclRule> for Matched {
    fn from(rule: &AclRule) -> Self {
        Self::Rule(rule.id)
    }
}

/// The answer, with what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    pub allow: bool,
    pub reason: Reason,
    /// `None` when the credential was too narrow or nothing grants it.
    pub matched: Option<Matched>,
}

impl Decision {
    const fn new(reason: Reason, matched: Option<Matched>) -> Self {
        Self {
            allow: reason.allows(),
            reason,
            matched,
        }
    }
}

/// How a pattern that grants is held against a resource.
type Fit = fn(&Pattern, &Resource<'_>) -> bool;

fn fit_for(permission: Permission, resource: &Resource<'_>) -> Fit {
    if permission.acts_on_keys() && resource.env.is_some() && resource.key.is_none() {
        Pattern::could_match_inside
    } else {
        Pattern::matches
    }
}

/// Whether the actor may do this to the very resource.
pub fn decide(
    actor: &Actor,
    permission: Permission,
    resource: &Resource<'_>,
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    let live = Live::new(actor, resource, facts, now);
    judge(actor, permission, &live, Pattern::matches)
}

/// Whether the actor may do this to at least some key of an environment: what listing asks first. The answer is for
/// the environment only, so every key must then pass [`decide`].
pub fn decide_any_key(
    actor: &Actor,
    permission: Permission,
    env: &Resource<'_>,
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    let live = Live::new(actor, env, facts, now);
    judge(actor, permission, &live, Pattern::could_match_inside)
}

/// Whether two keys of one environment may be decided about differently. If not, what is decided about one holds for all.
pub fn tells_keys_apart(actor: &Actor, facts: &Facts) -> bool {
    let rules = facts.rules.iter().map(|rule| &rule.pattern);
    let mut patterns = actor.ceiling.patterns.iter().chain(rules);
    patterns.any(Pattern::tells_keys_apart)
}

/// What an operation on the resource asks. A permission on keys is asked of an environment for at least some key; any
/// other question is about the very resource.
pub fn decide_for(
    actor: &Actor,
    permission: Permission,
    resource: &Resource<'_>,
    facts: &Facts,
    now: Timestamp,
) -> Decision {
    let live = Live::new(actor, resource, facts, now);
    judge(actor, permission, &live, fit_for(permission, resource))
}

/// Whether the actor may know that the organisation, project or environment exists; what it may not know of is
/// answered like what is absent. Scopes do not hide, and a key is seen where its environment is.
pub fn visible(actor: &Actor, resource: &Resource<'_>, facts: &Facts, now: Timestamp) -> bool {
    let resource = &Resource { key: None, ..*resource };
    if !ceiling_reaches(actor, resource) {
        return false;
    }
    let live = Live::new(actor, resource, facts, now);
    // A person with only a project membership still sees the organisation that it lies in.
    let joined = facts.memberships.iter().any(|held| match resource.project {
        None => held.org == resource.org && held.is_live(now),
        Some(project) => resource.env.is_none() && held.project == Some(project.id) && live.counts(held),
    });
    joined || live.reveals_resource()
}

fn judge(actor: &Actor, permission: Permission, live: &Live<'_>, fit: Fit) -> Decision {
    let resource = live.resource;
    if let Some(reason) = beyond_ceiling(actor, permission, resource, fit) {
        return Decision::new(reason, None);
    }
    let bearing = |rule: &&AclRule| live.bears(rule, permission, fit);
    let deny = live.rules(Effect::Deny).filter(bearing);
    if let Some(rule) = deny.map(Matched::from).min() {
        return Decision::new(Reason::AclDeny, Some(rule));
    }
    let roles = live.memberships().filter(|held| live.grants(held, permission));
    if let Some(role) = roles.map(Matched::from).min() {
        return Decision::new(Reason::Role, Some(role));
    }
    let allow = live.rules(Effect::Allow).filter(bearing);
    if let Some(rule) = allow.map(Matched::from).min() {
        return Decision::new(Reason::AclAllow, Some(rule));
    }
    Decision::new(Reason::NoGrant, None)
}

/// What the credential lacks for this, if anything.
fn beyond_ceiling(actor: &Actor, permission: Permission, resource: &Resource<'_>, fit: Fit) -> Option<Reason> {
    let ceiling = &actor.ceiling;
    if ceiling.org.is_some_and(|org| org != resource.org) {
        return Some(Reason::TokenOrg);
    }
    if ceiling
        .grants
        .as_ref()
        .is_some_and(|grants| !grants.covers(permission, resource.class()))
    {
        return Some(Reason::InsufficientScope);
    }
    if !ceiling.patterns.is_empty() && !ceiling.patterns.iter().any(|pattern| fit(pattern, resource)) {
        return Some(Reason::TokenPattern);
    }
    None
}

/// Whether the credential's organisation and patterns leave room for the resource or something inside it.
fn ceiling_reaches(actor: &Actor, resource: &Resource<'_>) -> bool {
    let ceiling = &actor.ceiling;
    ceiling.org.is_none_or(|org| org == resource.org)
        && (ceiling.patterns.is_empty()
            || ceiling
                .patterns
                .iter()
                .any(|pattern| pattern.could_match_inside(resource)))
}

/// Whether the credential's organisation and patterns take in the very resource of a question about the permission,
/// whatever its scopes say. What lies beyond them is not for whoever shows it to ask about.
pub fn takes_in(actor: &Actor, permission: Permission, resource: &Resource<'_>) -> bool {
    let (ceiling, fit) = (&actor.ceiling, fit_for(permission, resource));
    ceiling.org.is_none_or(|org| org == resource.org)
        && (ceiling.patterns.is_empty() || ceiling.patterns.iter().any(|pattern| fit(pattern, resource)))
}

/// The facts that count for one principal at one resource now.
struct Live<'a> {
    principal: Principal,
    resource: &'a Resource<'a>,
    facts: &'a Facts,
    now: Timestamp,
}

impl<'a> Live<'a> {
    fn new(actor: &Actor, resource: &'a Resource<'a>, facts: &'a Facts, now: Timestamp) -> Self {
        Self {
            principal: actor.principal,
            resource,
            facts,
            now,
        }
    }

    /// Whether the membership is live and held where the resource is or lies in.
    fn counts(&self, held: &Membership) -> bool {
        held.is_live(self.now) && held.reaches(self.resource)
    }

    fn memberships(&self) -> impl Iterator<Item = &'a Membership> {
        self.facts.memberships.iter().filter(|held| self.counts(held))
    }

    /// Rules of one effect about the principal, or about a role held here.
    fn rules(&self, effect: Effect) -> impl Iterator<Item = &'a AclRule> {
        self.facts.rules.iter().filter(move |rule| {
            let here = rule.org == self.resource.org && rule.is_live(self.now);
            here && rule.effect == effect && self.is_about_me(rule.subject)
        })
    }

    /// Whether a membership that counts here grants the permission.
    fn grants(&self, held: &Membership, permission: Permission) -> bool {
        held.effective_grants().covers(permission, self.resource.class())
    }

    /// Whether a rule that counts here grants or denies the permission.
    fn bears(&self, rule: &AclRule, permission: Permission, fit: Fit) -> bool {
        let resource = self.resource;
        let fits = match rule.effect {
            Effect::Allow => fit(&rule.pattern, resource),
            // A resource is denied as a whole or not at all, so deny rules are always matched to the letter.
            Effect::Deny => rule.pattern.matches(resource),
        };
        fits && rule.grants.covers(permission, resource.class())
    }

    fn is_about_me(&self, subject: Subject) -> bool {
        match subject {
            Subject::User(_) | Subject::ServiceAccount(_) => subject == self.principal.into(),
            Subject::Role(role) => self.memberships().any(|held| held.role == role),
        }
    }

    /// Whether something granted acts on the resource or inside it. To be allowed to do a thing somewhere is to know
    /// of the place.
    fn reveals_resource(&self) -> bool {
        let resource = self.resource;
        let mut allowed = self
            .rules(Effect::Allow)
            .filter(|rule| rule.pattern.could_match_inside(resource));
        self.memberships()
            .any(|held| reveals(&held.effective_grants(), resource))
            || allowed.any(|rule| reveals(&rule.grants, resource))
    }
}

/// Whether one of the grants acts on the resource or inside it.
fn reveals(grants: &GrantSet, resource: &Resource<'_>) -> bool {
    grants.iter().any(|grant| match (resource.project, resource.env) {
        (None, _) => true,
        (Some(_), None) => grant.permission().reach() >= Reach::Project,
        (Some(_), Some(env)) => {
            grant.permission().reach() == Reach::Env && grant.class().is_none_or(|class| class == env.class)
        }
    })
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod world;
