//! Roles that can be given: those that come with the product, and those of an organisation's own.

use super::role::{self, Audience, Role};
use crate::access::role::RoleLevel;
use crate::access::{BuiltinRole, GrantSet};
use crate::kernel::id::{OrgId, RoleId};
use crate::kernel::{Error, Reads, Result};

/// A role, as far as giving it needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignableRole {
    pub id: RoleId,
    pub name: String,
    /// It belongs to the tenant's own application and grants nothing here.
    pub is_app: bool,
    pub grants: GrantSet,
}

impl From<&BuiltinRole> for AssignableRole {
    fn from(role: &BuiltinRole) -> Self {
        Self {
            id: role.id,
            name: role.name.to_owned(),
            is_app: false,
            grants: role.grants().clone(),
        }
    }
}

impl AssignableRole {
    fn of(role: Role) -> Result<Self> {
        Ok(Self {
            id: role.id,
            is_app: role.audience == Audience::App,
            grants: role.grants()?,
            name: role.name,
        })
    }

    /// A role of an organisation's own, as its row has it.
    ///
    /// # Errors
    /// [`Error::Internal`] when the row is broken.
    fn own(id: RoleId, name: String, audience: &str, permissions: &str) -> Result<Self> {
        let is_app = audience != Audience::Platform.as_str();
        let grants = if is_app {
            GrantSet::EMPTY
        } else {
            serde_json::from_str(permissions).map_err(|_| Error::internal(format!("role {id} is stored wrongly")))?
        };
        Ok(Self {
            id,
            name,
            is_app,
            grants,
        })
    }

    /// The role of an id, with the columns of its row if an organisation made it. `None` when it is gone.
    ///
    /// # Errors
    /// [`Error::Internal`] when the row is broken.
    pub fn stored(
        id: RoleId,
        name: Option<String>,
        audience: Option<String>,
        permissions: Option<String>,
    ) -> Result<Option<Self>> {
        match (BuiltinRole::by_id(id), name, audience, permissions) {
            (Some(builtin), ..) => Ok(Some(builtin.into())),
            (None, Some(name), Some(audience), Some(permissions)) => {
                Self::own(id, name, &audience, &permissions).map(Some)
            }
            (None, ..) => Ok(None),
        }
    }

    /// Whether it is the one that an organisation or project must never be without.
    pub fn is_owner(&self) -> bool {
        [BuiltinRole::ORG_OWNER.id, BuiltinRole::PROJECT_OWNER.id].contains(&self.id)
    }
}

/// The role of a level by its name or id.
///
/// # Errors
/// [`Error::Db`].
pub async fn find(from: &impl Reads, org: OrgId, level: RoleLevel, reference: &str) -> Result<Option<AssignableRole>> {
    let found = role::find(from, org, reference, level).await?;
    found
        .filter(|role| role.level == level)
        .map(AssignableRole::of)
        .transpose()
}
