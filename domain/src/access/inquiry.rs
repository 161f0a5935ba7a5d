//! Asking who may do what: the place that a question is about, for somebody who may ask there.

use std::sync::Arc;

use super::caller::Caller;
use super::decide::{decide, visible};
use super::facts::{AclRule, Actor, EnvRef, Facts, Principal, ProjectRef, Resource};
use super::grant::loaded;
use super::held::Held;
use super::load::{EnvRow, Loaded, OrgRow, ProjectRow, load};
use super::permission::Permission;
use super::sight::Sees;
use crate::kernel::{Problem, Reads, Result, Timestamp};

/// A place about which the caller may ask.
#[derive(Debug)]
pub struct Inquiry {
    pub org: OrgRow,
    pub project: Option<ProjectRow>,
    pub env: Option<EnvRow>,
    held: Held,
}

/// Loads a place for a question: the organisation, or a project of it, or an environment of that. It takes
/// `access:read` in the project, or in the whole organisation when the path names no project.
///
/// # Errors
/// `not_found`, `forbidden`, `insufficient_scope`.
pub async fn inquiry(from: &impl Reads, caller: &Caller, path: &[&str]) -> Result<Inquiry> {
    let (Loaded { org, project, env, .. }, held) = loaded(from, caller, path).await?;
    let found = Inquiry {
        org,
        project,
        env,
        held,
    };
    if path.len() > 1 && found.project.is_none() {
        return Err(Problem::not_found().into());
    }
    let around = found.around();
    let Held { actor, facts, now, .. } = &found.held;
    let decision = decide(actor, Permission::AccessRead, &around, facts, *now);
    found.held.require(decision, Permission::AccessRead, &around)?;
    let is_hidden = found.env.is_none() || !visible(actor, &found.resource(None), facts, *now);
    if path.len() > 2 && is_hidden {
        return Err(Problem::not_found().into());
    }
    Ok(found)
}

impl Inquiry {
    /// What the question is about.
    pub fn resource<'a>(&'a self, key: Option<&'a str>) -> Resource<'a> {
        let env = self.env.as_ref().map(|env| EnvRef {
            id: env.id,
            slug: &env.slug,
            class: env.class,
        });
        Resource {
            env,
            key,
            ..self.around()
        }
    }

    /// The project that the question is about, or else the organisation: where the caller must be allowed to ask.
    fn around(&self) -> Resource<'_> {
        let project = self.project.as_ref().map(|project| ProjectRef {
            id: project.id,
            slug: &project.slug,
        });
        Resource {
            project,
            ..Resource::org(self.org.id)
        }
    }

    /// When it was asked. Every decision of the answer is made for this instant.
    pub fn now(&self) -> Timestamp {
        self.held.now
    }

    /// The caller, as its credential narrows it, with what it was given.
    pub fn caller(&self) -> (&Actor, &Facts) {
        (&self.held.actor, &self.held.facts)
    }

    /// What somebody was given, loaded as for a request of theirs.
    ///
    /// # Errors
    /// `not_found` when the organisation has gone meanwhile.
    pub async fn facts_of(&self, from: &impl Reads, somebody: Principal) -> Result<Arc<Facts>> {
        let loaded = load(from, somebody, &[&self.org.id.to_string()], false).await?;
        Ok(loaded.ok_or_else(Problem::not_found)?.facts)
    }

    /// Whether the caller may ask in the whole organisation, and so may know of everybody in it.
    pub fn is_of_org(&self) -> bool {
        let Held { actor, facts, now, .. } = &self.held;
        decide(actor, Permission::AccessRead, &Resource::org(self.org.id), facts, *now).allow
    }

    /// Whether somebody has to do with the place, so that whoever may ask there may know of them: they may know of it
    /// themselves, hold a role right there, or a rule there is about them.
    pub fn concerns(&self, somebody: &Actor, facts: &Facts) -> bool {
        let around = self.around();
        let at = around.project.map(|project| project.id);
        let is_about =
            |rule: &AclRule| rule.subject == somebody.principal.into() && rule.pattern.could_match_inside(&around);
        visible(somebody, &around, facts, self.held.now)
            || facts.memberships.iter().any(|held| held.project == at)
            || facts.rules.iter().any(is_about)
    }
}

impl Sees for Inquiry {
    fn sees_project(&self, project: ProjectRef<'_>) -> bool {
        let Held { actor, facts, now, .. } = &self.held;
        visible(actor, &Resource::project(self.org.id, project), facts, *now)
    }

    fn sees_env(&self, project: ProjectRef<'_>, env: EnvRef<'_>) -> bool {
        let Held { actor, facts, now, .. } = &self.held;
        visible(actor, &Resource::env(self.org.id, project, env), facts, *now)
    }
}
