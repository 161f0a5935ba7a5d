//! The reverse question: everybody for whom the decision is to allow. One query for all of them, and the one function
//! that decides for each.

use std::mem;

use super::fact::{Fact, View};
use super::question::Question;
use super::subject::{Inactive, NamedSubject};
use crate::access::decide::Reason;
use crate::access::decide::explain::{could_count, explain};
use crate::access::everyone::{Everyone, Holder, everyone};
use crate::access::{Facts, Inquiry, decide_for};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Reads, Result};

/// Somebody who may.
#[derive(Clone, Debug)]
pub struct Entitled {
    pub subject: NamedSubject,
    /// Why it is let in nowhere for now.
    pub inactive: Option<Inactive>,
    pub reason: Reason,
    /// The fact that settled it.
    pub matched: Option<Fact>,
}

/// Everybody for whom roles and rules come to allow it, people first, each kind by label. Those who are let in nowhere
/// for now are marked and not left out: what lets them in again need not be anybody's decision about access.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn who_can(
    from: &impl Reads,
    inquiry: &Inquiry,
    question: &Question,
    page: PageRequest,
) -> Result<Page<Entitled>> {
    let Everyone { holders, mut rules } = everyone(from, inquiry.org.id).await?;
    let resource = question.resource(inquiry);
    let (permission, now) = (question.permission, inquiry.now());
    rules.retain(|rule| could_count(rule, permission, &resource, now));
    let mut facts = Facts {
        memberships: Vec::new(),
        rules,
    };
    let mut allowed: Vec<Holder> = Vec::new();
    for mut holder in holders {
        facts.memberships = mem::take(&mut holder.memberships);
        let decision = decide_for(&holder.actor, permission, &resource, &facts, now);
        holder.memberships = mem::take(&mut facts.memberships);
        if decision.allow && !holder.is_gone {
            allowed.push(holder);
        }
    }
    let view = View::new(from, inquiry, permission, None, &facts.rules).await?;
    let entitled = |holder: Holder| {
        let Holder {
            actor,
            label,
            is_disabled,
            is_gone: _,
            has_second_factor,
            memberships,
        } = holder;
        facts.memberships = memberships;
        let subject = NamedSubject {
            subject: actor.principal.into(),
            label,
        };
        let explanation = explain(&actor, permission, &resource, &facts, now);
        let deciding = explanation.deciding().and_then(|at| explanation.considered.get(at));
        Entitled {
            inactive: Inactive::of(is_disabled, inquiry.org.requires_second_factor && !has_second_factor),
            reason: explanation.decision.reason,
            matched: deciding.map(|weighed| view.fact(*weighed, &subject, &facts.memberships)),
            subject,
        }
    };
    Ok(Page::of(allowed, page).map(entitled))
}
