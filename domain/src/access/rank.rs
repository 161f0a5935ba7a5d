//! What follows from a proof of access besides the permission that it proves: further permissions, and who stands
//! above whom.

use super::decide::decide;
use super::facts::{ProjectRef, Resource};
use super::grant::{OrgAccess, ProjectAccess};
use super::permission::{GrantSet, Permission};
use crate::kernel::Result;

impl<A> OrgAccess<A> {
    /// A second permission for the same act.
    ///
    /// # Errors
    /// `forbidden`, `insufficient_scope`.
    pub fn require(&self, permission: Permission) -> Result<()> {
        let (held, resource) = (&self.held, Resource::org(self.org.id));
        let decision = decide(&held.actor, permission, &resource, &held.facts, held.now);
        held.require(decision, permission, &resource)
    }
}

impl<A> ProjectAccess<A> {
    /// A second permission for the same act.
    ///
    /// # Errors
    /// `forbidden`, `insufficient_scope`.
    pub fn require(&self, permission: Permission) -> Result<()> {
        let project = ProjectRef {
            id: self.project.id,
            slug: &self.project.slug,
        };
        let (held, resource) = (&self.held, Resource::project(self.org.id, project));
        let decision = decide(&held.actor, permission, &resource, &held.facts, held.now);
        held.require(decision, permission, &resource)
    }

    /// Nobody changes or removes somebody who holds more: the caller's roles in the project cover all of `grants`,
    /// whatever its credential covers.
    ///
    /// # Errors
    /// `forbidden` naming what is beyond the caller.
    pub fn require_rank(&self, grants: &GrantSet) -> Result<()> {
        self.held.require_rank(Some(self.project.id), grants)
    }
}
