//! Coming and going: what stands before joining and leaving, where no permission is asked.

use super::caller::Caller;
use super::decide::visible;
use super::facts::{ProjectRef, Resource};
use super::grant::loaded;
use super::held::Held;
use super::load::{Loaded, OrgRow, ProjectRow};
use crate::kernel::id::{OrgId, ProjectId, UserId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result};

/// An organisation, or a project of it, and what the caller is to it.
#[derive(Debug)]
pub struct Door {
    pub org: OrgRow,
    /// `None` = the organisation itself.
    pub project: Option<ProjectRow>,
    held: Held,
}

/// Loads the organisation, or the project of it, whether or not the caller may know of it: ask [`Door::is_visible`].
///
/// # Errors
/// `not_found` when there is none, or the token is bound to another organisation.
pub async fn door(from: &impl Reads, caller: &Caller, path: &[&str]) -> Result<Door> {
    let (Loaded { org, project, .. }, held) = loaded(from, caller, path).await?;
    let elsewhere = held.actor.ceiling.org.is_some_and(|bound| bound != org.id);
    if elsewhere || (path.len() > 1 && project.is_none()) {
        return Err(Problem::not_found().into());
    }
    Ok(Door { org, project, held })
}

impl Door {
    /// The path that leads here whatever is renamed meanwhile.
    pub fn ids(&self) -> (OrgId, Option<ProjectId>) {
        (self.org.id, self.project.as_ref().map(|project| project.id))
    }

    fn resource(&self) -> Resource<'_> {
        match &self.project {
            None => Resource::org(self.org.id),
            Some(ProjectRow { id, slug }) => Resource::project(self.org.id, ProjectRef { id: *id, slug }),
        }
    }

    /// Whether the caller may know of it.
    pub fn is_visible(&self) -> bool {
        visible(&self.held.actor, &self.resource(), &self.held.facts, self.held.now)
    }

    /// Whether the caller holds a role at this very place.
    pub fn is_member(&self) -> bool {
        self.holds_at(self.project.as_ref().map(|project| project.id))
    }

    /// Whether the caller holds a role in the whole organisation.
    pub fn is_of_org(&self) -> bool {
        self.holds_at(None)
    }

    fn holds_at(&self, project: Option<ProjectId>) -> bool {
        let live = |held: &&super::facts::Membership| held.is_live(self.held.now);
        self.held
            .facts
            .memberships
            .iter()
            .filter(live)
            .any(|held| held.project == project)
    }

    /// The person who stands here. Who may not know of the place is told that there is none.
    ///
    /// # Errors
    /// `forbidden` for a service account, which belongs to one organisation for good; `not_found`.
    pub fn person(&self, caller: &Caller) -> Result<UserId> {
        let person = caller.user();
        match person {
            Err(_) if !self.is_visible() => Err(Problem::not_found().into()),
            person => person,
        }
    }

    /// Coming and going is beyond a token that was narrowed to some permissions or places.
    ///
    /// # Errors
    /// `insufficient_scope`; `not_found` when the token's patterns hide the place.
    pub fn require_wide_token(&self) -> Result<()> {
        let ceiling = &self.held.actor.ceiling;
        if ceiling.grants.is_none() && ceiling.patterns.is_empty() {
            return Ok(());
        }
        if !ceiling.patterns.is_empty() && !self.is_visible() {
            return Err(Problem::not_found().into());
        }
        let detail = "A token with scopes or patterns cannot join or leave. Sign in, or use a token without them.";
        Err(Problem::new(ProblemCode::InsufficientScope, detail).into())
    }

    /// What somebody is told who is not let in: nothing, unless the place is known to them.
    pub fn refusal(&self, detail: &'static str) -> Error {
        if self.is_visible() {
            return Problem::forbidden(detail).into();
        }
        Problem::not_found().into()
    }
}
