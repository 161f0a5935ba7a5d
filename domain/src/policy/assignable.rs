//! Roles that can be given: those that come with the product, and those of an organisation's own.

use super::role::{self, Audience, Role};
use crate::access::GrantSet;
use crate::access::role::RoleLevel;
use crate::kernel::id::{OrgId, RoleId};
use crate::kernel::{Reads, Result};

/// A role, as far as giving it needs to know.
#[derive(Clone, Debug)]
pub struct AssignableRole {
    pub id: RoleId,
    pub level: RoleLevel,
    pub name: String,
    pub grants: GrantSet,
}

/// The role of a level by its name or id. Roles of a tenant's own application are none here: they grant nothing.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn find(from: &impl Reads, org: OrgId, level: RoleLevel, reference: &str) -> Result<Option<AssignableRole>> {
    let found = role::find(from, org, reference, level).await?;
    let can_be_given = |role: &Role| role.level == level && role.audience == Audience::Platform;
    let assignable = |role: Role| {
        Ok(AssignableRole {
            id: role.id,
            level: role.level,
            grants: role.grants()?,
            name: role.name,
        })
    };
    found.filter(can_be_given).map(assignable).transpose()
}
