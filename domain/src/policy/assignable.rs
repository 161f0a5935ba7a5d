//! Roles that can be given: those that come with the product, and those of an organisation's own.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::entity::role;
use crate::access::role::RoleLevel;
use crate::access::{BuiltinRole, GrantSet};
use crate::kernel::id::{OrgId, RoleId};
use crate::kernel::{Error, Reads, Result};

/// A role, as far as giving it needs to know.
#[derive(Clone, Debug)]
pub struct AssignableRole {
    pub id: RoleId,
    pub level: RoleLevel,
    pub name: String,
    pub grants: GrantSet,
}

impl From<&BuiltinRole> for AssignableRole {
    fn from(role: &BuiltinRole) -> Self {
        Self {
            id: role.id,
            level: role.level,
            name: role.name.to_owned(),
            grants: role.grants().clone(),
        }
    }
}

fn own(row: role::Model) -> Result<AssignableRole> {
    let broken = || Error::internal(format!("role {} is stored wrongly", row.id));
    let permissions: Vec<String> = serde_json::from_str(&row.permissions).map_err(|_| broken())?;
    Ok(AssignableRole {
        id: row.id,
        level: RoleLevel::parse(&row.level).ok_or_else(broken)?,
        grants: GrantSet::parse(&permissions).map_err(|_| broken())?,
        name: row.name,
    })
}

/// The role of a level by its name or id. Roles of a tenant's own application are none here: they grant nothing.
///
/// # Errors
/// [`Error::Db`].
pub async fn find(from: &impl Reads, org: OrgId, level: RoleLevel, reference: &str) -> Result<Option<AssignableRole>> {
    let id = reference.parse::<RoleId>();
    let builtin = match &id {
        Ok(id) => BuiltinRole::by_id(*id).filter(|role| role.level == level),
        Err(_) => BuiltinRole::by_name(level, reference),
    };
    if let Some(role) = builtin {
        return Ok(Some(role.into()));
    }
    let by = match id {
        Ok(id) => role::Column::Id.eq(id),
        Err(_) => role::Column::Name.eq(reference),
    };
    let found = role::Entity::find()
        .filter(role::Column::OrgId.eq(org))
        .filter(role::Column::Level.eq(level.as_str()))
        .filter(role::Column::Audience.eq("platform"))
        .filter(by)
        .one(from.conn())
        .await?;
    found.map(own).transpose()
}
