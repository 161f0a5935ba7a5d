//! What a credential comes to in a place, for whoever was shown it and asks before they act on it, as far as their own
//! credential reaches.

use std::sync::Arc;

use super::caller::Caller;
use super::decide::{Decision, Matched, decide_for, takes_in};
use super::facts::{EnvRef, Facts, ProjectRef, Resource};
use super::load::{Loaded, OrgRow, load};
use super::permission::Permission;
use crate::kernel::{Reads, Result};

/// The decision that a request with the credential would meet.
#[derive(Debug)]
pub struct Trial {
    pub org: OrgRow,
    /// `None` when there is no such project or environment.
    pub decision: Option<Decision>,
    /// The organisation wants a second factor, and none stands behind the credential.
    pub lacks_second_factor: bool,
    /// Whether the place lies within what the credential of whoever asks is bound to. A place that there is not lies
    /// within no pattern.
    pub is_within: bool,
    facts: Facts,
}

/// Decides about `path`, which is an organisation, a project of it or an environment of that, and about a key in it, for
/// `asker`. `None` when there is no such organisation.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn trial(
    from: &impl Reads,
    asker: &Caller,
    shown: &Caller,
    permission: Permission,
    path: &[&str],
    key: Option<&str>,
) -> Result<Option<Trial>> {
    let Some(loaded) = load(from, shown.actor.principal, path, false).await? else {
        return Ok(None);
    };
    let Loaded {
        org,
        project,
        env,
        other: _,
        facts,
        epoch: _,
    } = loaded;
    let is_there = (path.len() < 2 || project.is_some()) && (path.len() < 3 || env.is_some());
    let resource = Resource {
        org: org.id,
        project: project.as_ref().map(|project| ProjectRef {
            id: project.id,
            slug: &project.slug,
        }),
        env: env.as_ref().map(|env| EnvRef {
            id: env.id,
            slug: &env.slug,
            class: env.class,
        }),
        key,
    };
    let asker = &asker.actor;
    let is_within = if is_there {
        takes_in(asker, permission, &resource)
    } else {
        asker.ceiling.patterns.is_empty() && asker.ceiling.org.is_none_or(|bound| bound == org.id)
    };
    let decision = is_there.then(|| decide_for(&shown.actor, permission, &resource, &facts, from.now()));
    Ok(Some(Trial {
        lacks_second_factor: org.requires_second_factor && !shown.has_second_factor,
        org,
        decision,
        is_within,
        facts: Arc::unwrap_or_clone(facts),
    }))
}

impl Trial {
    /// The name of a role that settled it.
    pub fn role_name(&self, matched: Matched) -> Option<&str> {
        let Matched::Role { role, .. } = matched else {
            return None;
        };
        let held = self.facts.memberships.iter().find(|held| held.role == role);
        held.map(|held| held.role_name.as_str())
    }
}
