//! What the policy says of a request: the gate of its operation, asked of [`decide`] with the facts that were given.

use domain::access::decide::Reason;
use domain::access::facts::Membership;
use domain::access::{CredentialKind, Decision, Permission, Principal, Resource, decide, decide_any_key, visible};
use domain::kernel::Timestamp;
use domain::kernel::id::ProjectId;

use super::principals::Known;
use super::world::Place;
use crate::client::Answer;
use crate::operations::{Gate, Operation};

/// No or no good credential.
pub const UNAUTHENTICATED: &str = "401";
/// Seen, not allowed.
pub const FORBIDDEN: &str = "403";
/// The token is too narrow.
pub const TOKEN: &str = "403t";
/// Only a session may.
pub const SESSION: &str = "403s";
/// The state of things does not allow it: a member already, no role to give up, no second factor.
pub const CONFLICT: &str = "409";
/// Let in, to be told that this instance sells nothing.
pub const DISABLED: &str = "501";
/// Absent or hidden.
pub const HIDDEN: &str = "404";

/// The cell of an answer.
pub fn cell(operation: &Operation, answer: &Answer) -> String {
    let status = answer.status();
    if status == operation.success {
        return status.to_string();
    }
    match (status, answer.code().as_str()) {
        (200..=399, _) => status.to_string(),
        (401, "unauthenticated") => UNAUTHENTICATED.to_owned(),
        (403, "forbidden") => FORBIDDEN.to_owned(),
        (403, "insufficient_scope") => TOKEN.to_owned(),
        (403, "session_required") => SESSION.to_owned(),
        (404, "not_found") => HIDDEN.to_owned(),
        (409, "conflict") => CONFLICT.to_owned(),
        (501, "billing_disabled") => DISABLED.to_owned(),
        (_, code) => format!("{status} {code}"),
    }
}

/// The cell that the policy wants.
pub fn predicted(operation: &Operation, known: Option<&Known>, place: &Place, now: Timestamp) -> String {
    let success = operation.success.to_string();
    if matches!(operation.gate, Gate::Public | Gate::Ending) {
        return success;
    }
    let Some(known) = known else {
        return UNAUTHENTICATED.to_owned();
    };
    match refusal(operation.gate, &Asked { known, place, now }) {
        Some(refused) => refused.to_owned(),
        None => success,
    }
}

struct Asked<'a> {
    known: &'a Known,
    place: &'a Place,
    now: Timestamp,
}

fn refusal(gate: Gate, asked: &Asked<'_>) -> Option<&'static str> {
    let place = asked.place;
    match gate {
        Gate::Public | Gate::Ending => None,
        Gate::AnyScope(permission) => asked.scope(permission),
        Gate::Invited => asked.invited(),
        Gate::Person => asked.person(),
        Gate::Session => asked.session(),
        Gate::OwnToken => asked.session().or((!asked.known.is_owner).then_some(HIDDEN)),
        Gate::OwnFactor => asked.session().or((!asked.known.is_owner).then_some(CONFLICT)),
        Gate::Unbound => asked.person().or_else(|| asked.unbound()),
        Gate::Scope(permission) => asked.person().or_else(|| asked.scope(permission)),
        Gate::Visible(permission) => asked.sight(&place.org()).or_else(|| asked.scope(permission)),
        Gate::Superuser => asked.superuser(),
        Gate::Org(permission) => asked.permission(permission, &place.org()),
        Gate::OrgSession(permission) => asked.permission(permission, &place.org()).or_else(|| asked.session()),
        Gate::Project(permission) => asked.permission(permission, &place.project()),
        Gate::ProjectGiving(permission) => {
            let is_bound = !asked.known.actor.ceiling.patterns.is_empty();
            asked
                .permission(permission, &place.project())
                .or(is_bound.then_some(FORBIDDEN))
        }
        Gate::ProjectSession(permission) => asked
            .permission(permission, &place.project())
            .or_else(|| asked.session()),
        Gate::DeletedProject(permission) => refusal(Gate::Visible(Permission::ProjectsRead), asked)
            .or_else(|| asked.session())
            .or_else(|| asked.permission(permission, &place.deleted_project())),
        Gate::JoinOrg => asked.joining(&place.org()),
        Gate::JoinProject => asked.joining(&place.project()),
        Gate::LeaveOrg => asked.leaving(&place.org()),
        Gate::LeaveProject => asked.leaving(&place.project()),
        Gate::Env(permission) => asked.permission(permission, &place.env()),
        Gate::SomeEnv(permission) => asked.some_env(permission),
        Gate::AnyKey(permission) => asked.judged(asked.any_key(permission), &place.env()),
        Gate::AnyKeyBoth(first, second) => {
            refusal(Gate::AnyKey(first), asked).or_else(|| refusal(Gate::AnyKey(second), asked))
        }
        Gate::Promotion => {
            let source = Place {
                env: place.promoted_from(),
                ..place.clone()
            };
            let at_source = Asked {
                place: &source,
                ..*asked
            };
            refusal(Gate::AnyKey(Permission::SecretsRead), &at_source)
                .or_else(|| refusal(Gate::AnyKey(Permission::SecretsWrite), asked))
        }
        Gate::Key(permission) => asked.permission(permission, &place.env().with_key(&place.side.key)),
    }
}

impl Asked<'_> {
    fn person(&self) -> Option<&'static str> {
        match self.known.actor.principal {
            Principal::User(_) => None,
            Principal::ServiceAccount(_) => Some(FORBIDDEN),
        }
    }

    fn session(&self) -> Option<&'static str> {
        (self.known.kind != CredentialKind::Session).then_some(SESSION)
    }

    fn superuser(&self) -> Option<&'static str> {
        (!self.known.is_superuser)
            .then_some(FORBIDDEN)
            .or_else(|| self.session())
    }

    fn unbound(&self) -> Option<&'static str> {
        let ceiling = &self.known.actor.ceiling;
        let narrow = ceiling.org.is_some() || ceiling.grants.is_some() || !ceiling.patterns.is_empty();
        narrow.then_some(TOKEN)
    }

    fn scope(&self, permission: Permission) -> Option<&'static str> {
        let grants = self.known.actor.ceiling.grants.as_ref();
        grants
            .is_some_and(|grants| !grants.mentions(permission))
            .then_some(TOKEN)
    }

    fn sight(&self, resource: &Resource<'_>) -> Option<&'static str> {
        (!visible(&self.known.actor, resource, &self.known.facts, self.now)).then_some(HIDDEN)
    }

    fn is_narrow(&self) -> bool {
        let ceiling = &self.known.actor.ceiling;
        ceiling.grants.is_some() || !ceiling.patterns.is_empty()
    }

    /// Whether a role is held in the whole organisation, or in the very project.
    fn holds_at(&self, project: Option<ProjectId>) -> bool {
        let live = |held: &&Membership| held.is_live(self.now);
        let mut held = self.known.facts.memberships.iter().filter(live);
        held.any(|held| held.project == project)
    }

    /// Joining a place that is open: an organisation to everybody, a project to the people of its organisation.
    fn joining(&self, place: &Resource<'_>) -> Option<&'static str> {
        let ceiling = &self.known.actor.ceiling;
        if ceiling.org.is_some_and(|org| org != place.org) {
            return Some(HIDDEN);
        }
        let project = place.project.map(|project| project.id);
        let is_let_in = project.is_none() || self.holds_at(None);
        if let Some(no_person) = self.person() {
            return self.sight(place).or(Some(no_person));
        }
        if self.holds_at(project) {
            return Some(CONFLICT);
        }
        if !is_let_in {
            return self.sight(place).or(Some(FORBIDDEN));
        }
        // A pattern may hide the place from the token.
        let hidden = || self.sight(place).filter(|_| !ceiling.patterns.is_empty());
        self.is_narrow().then(|| hidden().unwrap_or(TOKEN))
    }

    /// Giving up what is held in a place; of the organisation also what is held in its projects.
    fn leaving(&self, place: &Resource<'_>) -> Option<&'static str> {
        let holds = match place.project {
            None => !self.known.facts.memberships.is_empty(),
            // The preparation gave the owner a role in the project.
            Some(project) => {
                let is_owner = self.known.actor.principal == Principal::User(self.place.side.owner_id);
                is_owner || self.holds_at(Some(project.id))
            }
        };
        let sight = self.sight(place).or_else(|| self.person());
        sight
            .or(self.is_narrow().then_some(TOKEN))
            .or((!holds).then_some(CONFLICT))
    }

    /// Accepting what was sent to one person.
    fn invited(&self) -> Option<&'static str> {
        let invitee = Principal::User(self.place.side.invitee_id);
        self.person()
            .or_else(|| self.unbound())
            .or((self.known.actor.principal != invitee).then_some(FORBIDDEN))
    }

    fn any_key(&self, permission: Permission) -> Decision {
        decide_any_key(
            &self.known.actor,
            permission,
            &self.place.env(),
            &self.known.facts,
            self.now,
        )
    }

    /// A refusal is that of the first environment that is seen.
    fn some_env(&self, permission: Permission) -> Option<&'static str> {
        let mut first = None;
        for env in &self.place.side.envs {
            let place = Place {
                env: env.clone(),
                ..self.place.clone()
            };
            let there = Asked { place: &place, ..*self };
            if there.sight(&place.env()).is_some() {
                continue;
            }
            let decision = there.any_key(permission);
            if decision.allow {
                return None;
            }
            first = first.or(Some(decision));
        }
        let project = self.place.project();
        let nowhere = || decide(&self.known.actor, permission, &project, &self.known.facts, self.now);
        let refused = Decision {
            allow: false,
            ..first.unwrap_or_else(nowhere)
        };
        self.judged(refused, &project)
    }

    fn permission(&self, permission: Permission, resource: &Resource<'_>) -> Option<&'static str> {
        let decision = decide(&self.known.actor, permission, resource, &self.known.facts, self.now);
        self.judged(decision, resource)
    }

    fn judged(&self, decision: Decision, resource: &Resource<'_>) -> Option<&'static str> {
        if decision.allow {
            return None;
        }
        self.sight(resource).or(Some(match decision.reason {
            Reason::TokenOrg | Reason::InsufficientScope | Reason::TokenPattern => TOKEN,
            Reason::AclDeny | Reason::NoGrant | Reason::Role | Reason::AclAllow => FORBIDDEN,
        }))
    }
}
