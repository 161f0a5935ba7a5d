//! What a caller was given, as a decision needs it, and what follows from it besides the decision.

use std::sync::Arc;

use super::decide::{Decision, Reason, visible};
use super::facts::{Actor, Effect, Facts, ProjectRef, Resource, Subject};
use super::permission::{Grant, GrantSet, Permission};
use crate::kernel::id::ProjectId;
use crate::kernel::{Problem, ProblemCode, Result, Timestamp};

/// What a decision was made from, kept for the decisions key by key.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) actor: Actor,
    pub(super) facts: Arc<Facts>,
    pub(super) now: Timestamp,
    /// The organisation wants a second factor, and the caller has shown none.
    pub(super) lacks_second_factor: bool,
}

impl Held {
    /// # Errors
    /// `not_found` when the caller may not know of it, `forbidden` or `insufficient_scope` when it may.
    pub(super) fn require(&self, decision: Decision, permission: Permission, resource: &Resource<'_>) -> Result<()> {
        if decision.allow && !self.lacks_second_factor {
            return Ok(());
        }
        if !visible(&self.actor, resource, &self.facts, self.now) {
            return Err(Problem::not_found().into());
        }
        self.require_second_factor()?;
        Err(refusal(permission, decision.reason).into())
    }

    /// Comes after what is hidden and before what is forbidden: who may not know of the organisation is told nothing of
    /// what it wants.
    ///
    /// # Errors
    /// `second_factor_required`.
    pub(super) fn require_second_factor(&self) -> Result<()> {
        if !self.lacks_second_factor {
            return Ok(());
        }
        let detail =
            "The organisation wants a second factor. Switch it on at `/v1/auth/2fa/setup`, then sign in with it.";
        Err(Problem::new(ProblemCode::SecondFactorRequired, detail).into())
    }

    /// The first of `grants` that the caller does not hold in the whole organisation, or in `project`. Only roles
    /// count, and less whatever a rule denies the caller anywhere: what somebody holds by a rule for a few keys is
    /// not theirs to give away.
    pub(super) fn lacking(&self, project: Option<ProjectId>, grants: &GrantSet) -> Option<Grant> {
        let denied = self
            .facts
            .rules
            .iter()
            .filter(|rule| rule.effect == Effect::Deny && rule.is_live(self.now));
        let denied = denied.fold(GrantSet::EMPTY, |all, rule| all.union(&rule.grants));
        let held = self.given(project);
        grants
            .iter()
            .find(|grant| denied.mentions(grant.permission()) || !self.reaches(&held, *grant))
    }

    /// What the caller's live roles grant in the whole organisation, or in `project`, whatever rules deny.
    fn given(&self, project: Option<ProjectId>) -> GrantSet {
        let live = self.facts.memberships.iter().filter(|held| held.is_live(self.now));
        let here = live.filter(|held| held.project.is_none() || held.project == project);
        here.fold(GrantSet::EMPTY, |all, held| all.union(&held.effective_grants()))
    }

    /// Whether the grant is among those held and the credential leaves room to use it.
    fn reaches(&self, held: &GrantSet, grant: Grant) -> bool {
        let covers = |set: &GrantSet| set.covers(grant.permission(), grant.class());
        let ceiling = &self.actor.ceiling;
        ceiling.patterns.is_empty() && ceiling.grants.as_ref().is_none_or(covers) && covers(held)
    }

    /// One of `grants` that the caller's own roles do not grant in the whole organisation, or in `project`: whoever has
    /// it ranks above the caller. What rules deny or a credential leaves out lowers nobody's rank.
    fn outranking(&self, project: Option<ProjectId>, grants: &GrantSet) -> Option<Grant> {
        let given = self.given(project);
        grants
            .iter()
            .find(|grant| !given.covers(grant.permission(), grant.class()))
    }

    /// Whoever restricts, changes or removes somebody ranks as high.
    ///
    /// # Errors
    /// `forbidden` naming what the caller's roles lack.
    pub(super) fn require_rank(&self, project: Option<ProjectId>, grants: &GrantSet) -> Result<()> {
        match self.outranking(project, grants) {
            None => Ok(()),
            Some(beyond) => Err(Problem::forbidden(format!(
                "They hold `{beyond}`, which you do not. Ask somebody who does."
            ))
            .into()),
        }
    }

    /// To lift a denial is to give back what it took, so it needs the same as granting, but for what rules deny: an
    /// owner who denied something to everybody can take that back. Nobody else lifts what is denied to themselves.
    ///
    /// # Errors
    /// `forbidden`.
    pub(super) fn require_lift(&self, about: Subject, grants: &GrantSet) -> Result<()> {
        let given = self.given(None);
        if let Some(lacking) = grants.iter().find(|grant| !self.reaches(&given, *grant)) {
            return Err(Problem::forbidden(format!(
                "To lift this rule is to grant `{lacking}`, and that you do not hold yourself."
            ))
            .into());
        }
        let is_mine = match about {
            Subject::User(_) | Subject::ServiceAccount(_) => about == self.actor.principal.into(),
            Subject::Role(role) => self.facts.memberships.iter().any(|held| held.role == role),
        };
        if is_mine && !GrantSet::ALL.is_subset_of(&given) {
            let detail = "This rule restricts yourself, so only an owner can lift it. Ask an owner.";
            return Err(Problem::forbidden(detail).into());
        }
        Ok(())
    }

    /// # Errors
    /// `forbidden` naming what the caller lacks.
    pub(super) fn require_holds(&self, project: Option<ProjectId>, grants: &GrantSet) -> Result<()> {
        match self.lacking(project, grants) {
            None => Ok(()),
            Some(lacking) => Err(Problem::forbidden(format!(
                "You can only grant what you hold yourself, and `{lacking}` you do not."
            ))
            .into()),
        }
    }
}

pub(super) fn refusal(permission: Permission, reason: Reason) -> Problem {
    let permission = permission.as_str();
    let problem = match reason {
        Reason::InsufficientScope | Reason::TokenPattern | Reason::TokenOrg => Problem::new(
            ProblemCode::InsufficientScope,
            format!("The token does not cover `{permission}` here. Use a wider token."),
        ),
        Reason::AclDeny => Problem::forbidden(format!(
            "An access rule denies `{permission}` here. Ask an owner or admin."
        )),
        Reason::NoGrant | Reason::Role | Reason::AclAllow => Problem::forbidden(format!(
            "This needs the permission `{permission}` here. Ask an owner or admin for it."
        )),
    };
    problem.with("reason", reason.as_str())
}

/// The project's role first, for it is the narrower grant.
pub(super) fn role_at<'a>(held: &'a Held, project: Option<ProjectRef<'_>>) -> Option<&'a str> {
    let live = || {
        held.facts
            .memberships
            .iter()
            .filter(|membership| membership.is_live(held.now))
    };
    let in_project = project.and_then(|project| live().find(|membership| membership.project == Some(project.id)));
    in_project
        .or_else(|| live().find(|membership| membership.project.is_none()))
        .map(|membership| membership.role_name.as_str())
}

#[cfg(test)]
mod tests;
