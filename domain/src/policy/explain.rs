//! Why somebody may do something or may not: the decision that enforcement makes, with all that it rests on.

use std::sync::Arc;

use super::fact::{Fact, View};
use super::question::Question;
use super::subject::{Inactive, NamedActor, NamedSubject, SubjectInput, find_actor, named, unknown};
use crate::access::decide::explain::{self as decided, Explanation};
use crate::access::facts::AclRule;
use crate::access::permission::Grant;
use crate::access::{Actor, Caller, Decision, Facts, Inquiry, Principal};
use crate::auth::second_factor;
use crate::kernel::{Reads, Result};
use crate::members::membership;

/// Somebody's access to a place.
#[derive(Clone, Debug)]
pub struct Explained {
    pub subject: NamedSubject,
    /// What roles and rules come to.
    pub decision: Decision,
    /// Whether the subject may know of the place; else it is told that there is nothing.
    pub is_visible: bool,
    /// Why it is let in nowhere, whatever roles and rules come to.
    pub inactive: Option<Inactive>,
    /// What would have to be granted, or be among the credential's scopes.
    pub missing: Option<Grant>,
    /// The fact that settled it.
    pub matched: Option<Fact>,
    /// All that is live and touches the place.
    pub considered: Vec<Fact>,
}

impl Explained {
    /// Whether a request of the subject would be let through.
    pub fn is_allowed(&self) -> bool {
        self.decision.allow && self.inactive.is_none()
    }
}

/// Somebody of whom a question is.
struct Party {
    actor: Actor,
    label: String,
    facts: Facts,
    inactive: Option<Inactive>,
}

/// Decides for somebody, or for the caller as its credential narrows it, as if there were also the rule `supposed`.
///
/// # Errors
/// `invalid_field` when nothing was given to anybody of that name, or the caller may not know of them.
pub async fn explain(
    from: &impl Reads,
    caller: &Caller,
    inquiry: &Inquiry,
    question: &Question,
    subject: Option<&SubjectInput>,
    supposed: Option<AclRule>,
) -> Result<Explained> {
    let Party {
        actor,
        label,
        mut facts,
        inactive,
    } = match subject {
        None => Party::caller(caller, inquiry),
        Some(subject) => Party::find(from, inquiry, subject).await?,
    };
    let supposed_id = supposed.as_ref().map(|rule| rule.id);
    if let Some(rule) = supposed {
        facts.rules.retain(|known| known.id != rule.id);
        facts.rules.push(rule);
    }
    let resource = question.resource(inquiry);
    let explanation = decided::explain(&actor, question.permission, &resource, &facts, inquiry.now());
    let deciding = explanation.deciding();
    let Explanation {
        decision,
        is_visible,
        missing,
        considered,
    } = explanation;
    let view = View::new(from, inquiry, question.permission, supposed_id, &facts.rules).await?;
    let subject = NamedSubject {
        subject: actor.principal.into(),
        label,
    };
    let considered: Vec<Fact> = considered
        .into_iter()
        .map(|weighed| view.fact(weighed, &subject, &facts.memberships))
        .collect();
    Ok(Explained {
        decision,
        is_visible,
        inactive,
        missing,
        matched: deciding.and_then(|at| considered.get(at).cloned()),
        considered,
        subject,
    })
}

impl Party {
    fn caller(caller: &Caller, inquiry: &Inquiry) -> Self {
        let (actor, facts) = inquiry.caller();
        Self {
            actor: actor.clone(),
            label: caller.origin.actor_label.clone().unwrap_or_default(),
            facts: facts.clone(),
            // Or it could not ask.
            inactive: None,
        }
    }

    /// Somebody who has nothing to do with the place is answered like nobody at all: whether there is such an account
    /// elsewhere is not told.
    async fn find(from: &impl Reads, inquiry: &Inquiry, input: &SubjectInput) -> Result<Self> {
        let (field, _) = named(input)?;
        let unknown = || unknown(field, "is nobody who has to do with this place");
        let found = find_actor(from, inquiry.org.id, input).await?;
        let found = found.filter(|found| !found.is_gone).ok_or_else(unknown)?;
        let NamedActor {
            actor,
            label,
            is_disabled,
            is_gone: _,
        } = found;
        let facts = Arc::unwrap_or_clone(inquiry.facts_of(from, actor.principal).await?);
        if !is_known(from, inquiry, &actor, &facts).await? {
            return Err(unknown());
        }
        let lacks_second_factor = match actor.principal {
            Principal::User(user) if inquiry.org.requires_second_factor => !second_factor::is_on(from, user).await?,
            Principal::User(_) | Principal::ServiceAccount(_) => false,
        };
        Ok(Self {
            actor,
            label,
            facts,
            inactive: Inactive::of(is_disabled, lacks_second_factor),
        })
    }
}

/// Whether the caller may know of somebody: in the whole organisation of all who are in it, else of those who have to do
/// with the place.
async fn is_known(from: &impl Reads, inquiry: &Inquiry, somebody: &Actor, facts: &Facts) -> Result<bool> {
    if inquiry.concerns(somebody, facts) {
        return Ok(true);
    }
    if !inquiry.is_of_org() {
        return Ok(false);
    }
    let is_about = |rule: &AclRule| rule.subject == somebody.principal.into();
    Ok(match somebody.principal {
        Principal::ServiceAccount(_) => true,
        Principal::User(_) => {
            !facts.memberships.is_empty()
                || facts.rules.iter().any(is_about)
                // A role of the tenant's own application is no fact of a decision.
                || !membership::held(from, inquiry.org.id, somebody.principal).await?.is_empty()
        }
    })
}
