//! What the caller may know of: for lists that name projects and environments, of one organisation or of several.

use std::collections::HashMap;
use std::sync::Arc;

use super::caller::Caller;
use super::decide::visible;
use super::facts::{EnvRef, ProjectRef, Resource};
use super::held::Held;
use super::load::{OrgRow, load_orgs};
use crate::kernel::id::OrgId;
use crate::kernel::{Reads, Result};

/// Somebody who may know of some places of an organisation and not of others.
pub trait Sees {
    /// Whether the project may be named to them.
    fn sees_project(&self, project: ProjectRef<'_>) -> bool;

    /// Whether the environment may be named to them.
    fn sees_env(&self, project: ProjectRef<'_>, env: EnvRef<'_>) -> bool;
}

/// An organisation as the caller sees it.
#[derive(Debug)]
pub struct Sight {
    org: OrgRow,
    held: Held,
}

/// What the caller sees of some organisations: one query, however many there are. Those that are gone are left out.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn sights(from: &impl Reads, caller: &Caller, orgs: &[OrgId]) -> Result<HashMap<OrgId, Sight>> {
    let now = from.now();
    let loaded = load_orgs(from, caller.actor.principal, orgs).await?;
    let sight = |(id, (org, facts)): (OrgId, (OrgRow, _))| {
        let held = Held {
            actor: caller.actor.clone(),
            facts: Arc::new(facts),
            now,
            lacks_second_factor: org.requires_second_factor && !caller.has_second_factor,
        };
        (id, Sight { org, held })
    };
    Ok(loaded.into_iter().map(sight).collect())
}

impl Sight {
    /// The organisation's name in paths, if the caller may know of it.
    pub fn org_slug(&self) -> Option<&str> {
        self.sees(&Resource::org(self.org.id)).then_some(self.org.slug.as_str())
    }

    fn sees(&self, resource: &Resource<'_>) -> bool {
        visible(&self.held.actor, resource, &self.held.facts, self.held.now)
    }
}

/// Inside, an organisation that wants a second factor shows nothing to whoever has shown none.
impl Sees for Sight {
    fn sees_project(&self, project: ProjectRef<'_>) -> bool {
        !self.held.lacks_second_factor && self.sees(&Resource::project(self.org.id, project))
    }

    fn sees_env(&self, project: ProjectRef<'_>, env: EnvRef<'_>) -> bool {
        !self.held.lacks_second_factor && self.sees(&Resource::env(self.org.id, project, env))
    }
}
