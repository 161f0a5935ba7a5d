//! Why a decision falls as it does: the very decision, and every fact that was weighed for it.

use super::super::facts::{AclRule, Actor, Effect, Facts, Membership, Resource};
use super::super::permission::{Grant, GrantSet, Permission};
use super::{Decision, Fit, Live, Matched, Reason, decide_for, fit_for, visible};
use crate::kernel::Timestamp;

/// What one fact comes to for the permission that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Grants,
    Denies,
    /// It touches the place and changes nothing there.
    Nothing,
}

/// A fact that touches the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    Role(&'a Membership),
    Rule(&'a AclRule),
}

impl Source<'_> {
    /// What it says of a permission, in whatever class.
    pub fn says_of(self, permission: Permission) -> GrantSet {
        let grants = match self {
            Self::Role(held) => held.effective_grants(),
            Self::Rule(rule) => rule.grants.clone(),
        };
        grants
            .iter()
            .filter(|grant| grant.covers(permission, grant.class()))
            .collect()
    }
}

impl From<Source<'_>> for Matched {
    fn from(source: Source<'_>) -> Self {
        match source {
            Source::Role(held) => held.into(),
            Source::Rule(rule) => rule.into(),
        }
    }
}

/// A fact that was weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Considered<'a> {
    pub source: Source<'a>,
    pub outcome: Outcome,
}

/// A decision with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation<'a> {
    /// As enforcement makes it.
    pub decision: Decision,
    /// Whether the actor may know of the place.
    pub is_visible: bool,
    /// What would have to be granted, or be among the credential's scopes; `None` when that would change nothing.
    pub missing: Option<Grant>,
    /// All that is live and touches the place, in the order in which it is asked: denials, roles, allowances.
    pub considered: Vec<Considered<'a>>,
}

impl Explanation<'_> {
    /// Which of `considered` settled it; `None` when the credential was too narrow or nothing grants it.
    pub fn deciding(&self) -> Option<usize> {
        let matched = self.decision.matched?;
        self.considered
            .iter()
            .position(|fact| fact.outcome != Outcome::Nothing && Matched::from(fact.source) == matched)
    }
}

/// Decides as [`decide_for`] does, and tells why.
pub fn explain<'a>(
    actor: &Actor,
    permission: Permission,
    resource: &'a Resource<'a>,
    facts: &'a Facts,
    now: Timestamp,
) -> Explanation<'a> {
    let decision = decide_for(actor, permission, resource, facts, now);
    let live = Live::new(actor, resource, facts, now);
    let fit = fit_for(permission, resource);
    let mut considered = rules(&live, Effect::Deny, permission, fit);
    considered.extend(live.memberships().map(|held| Considered {
        source: Source::Role(held),
        outcome: outcome(live.grants(held, permission), Effect::Allow),
    }));
    considered.extend(rules(&live, Effect::Allow, permission, fit));
    Explanation {
        decision,
        is_visible: visible(actor, resource, facts, now),
        missing: missing(decision.reason, permission, resource),
        considered,
    }
}

/// Rules of one effect that touch the place.
fn rules<'a>(live: &Live<'a>, effect: Effect, permission: Permission, fit: Fit) -> Vec<Considered<'a>> {
    let touching = live
        .rules(effect)
        .filter(|rule| rule.pattern.could_match_inside(live.resource));
    let weighed = touching.map(|rule| Considered {
        source: Source::Rule(rule),
        outcome: outcome(live.bears(rule, permission, fit), effect),
    });
    weighed.collect()
}

const fn outcome(counts: bool, effect: Effect) -> Outcome {
    match (counts, effect) {
        (true, Effect::Allow) => Outcome::Grants,
        (true, Effect::Deny) => Outcome::Denies,
        (false, Effect::Allow | Effect::Deny) => Outcome::Nothing,
    }
}

/// Against a denial nothing helps that could be granted, nor against a credential of another place.
fn missing(reason: Reason, permission: Permission, resource: &Resource<'_>) -> Option<Grant> {
    match reason {
        Reason::NoGrant | Reason::InsufficientScope => {
            let in_class = resource
                .class()
                .and_then(|class| Grant::in_class(permission, class).ok());
            Some(in_class.unwrap_or(Grant::everywhere(permission)))
        }
        Reason::TokenOrg | Reason::TokenPattern | Reason::AclDeny | Reason::Role | Reason::AclAllow => None,
    }
}

/// Whether a rule could count at the place for anybody. Asked once before a question about many: what fails here
/// changes no decision.
pub fn could_count(rule: &AclRule, permission: Permission, resource: &Resource<'_>, now: Timestamp) -> bool {
    rule.org == resource.org
        && rule.is_live(now)
        && rule.grants.covers(permission, resource.class())
        && rule.pattern.could_match_inside(resource)
}
