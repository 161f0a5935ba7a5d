//! Roles: those that come with the product, and those of an organisation's own.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::entity::role;
use crate::access::grant::OrgRead;
use crate::access::role::RoleLevel;
use crate::access::{BuiltinRole, GrantSet, OrgAccess};
use crate::kernel::id::{OrgId, RoleId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, Reads, Result, Timestamp};

/// Whose permissions a role holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// This platform's: the role decides what its holders may do here.
    Platform,
    /// The tenant's own application's: passed on to it and never satisfying a check here.
    App,
}

impl Audience {
    /// The audience as stored and published: `platform`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::App => "app",
        }
    }

    /// Reads the stored form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Platform, Self::App]
            .into_iter()
            .find(|audience| audience.as_str() == text)
    }
}

/// A role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    pub id: RoleId,
    pub level: RoleLevel,
    pub audience: Audience,
    /// Unique within its level.
    pub name: String,
    pub display_name: String,
    pub permissions: Vec<String>,
    /// Comes with the product: it cannot change or go.
    pub is_builtin: bool,
    /// `None` for one that comes with the product.
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
}

impl Role {
    /// What it grants on this platform: nothing, if it is the tenant's application's.
    ///
    /// # Errors
    /// [`Error::Internal`] when it is stored wrongly.
    pub fn grants(&self) -> Result<GrantSet> {
        match self.audience {
            Audience::App => Ok(GrantSet::EMPTY),
            Audience::Platform => GrantSet::parse(&self.permissions)
                .map_err(|e| Error::internal(format!("role {} is stored wrongly: {e}", self.id))),
        }
    }
}

impl From<&BuiltinRole> for Role {
    fn from(builtin: &BuiltinRole) -> Self {
        let mut display_name = match builtin.level {
            RoleLevel::Org => builtin.name.to_owned(),
            RoleLevel::Project => format!("project {}", builtin.name),
        };
        if let Some(first) = display_name.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Self {
            id: builtin.id,
            level: builtin.level,
            audience: Audience::Platform,
            name: builtin.name.to_owned(),
            display_name,
            permissions: builtin.grants().to_list(),
            is_builtin: true,
            created_at: None,
            updated_at: None,
        }
    }
}

pub(super) fn role(row: role::Model) -> Result<Role> {
    let role::Model {
        id,
        org_id: _,
        level,
        audience,
        name,
        display_name,
        permissions,
        created_at,
        updated_at,
    } = row;
    let broken = || Error::internal(format!("role {id} is stored wrongly"));
    Ok(Role {
        id,
        level: RoleLevel::parse(&level).ok_or_else(broken)?,
        audience: Audience::parse(&audience).ok_or_else(broken)?,
        name,
        display_name,
        permissions: serde_json::from_str(&permissions).map_err(|_| broken())?,
        is_builtin: false,
        created_at: Some(created_at),
        updated_at: Some(updated_at),
    })
}

/// Which roles are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoleFilter {
    pub level: Option<RoleLevel>,
    pub audience: Option<Audience>,
}

/// The roles that can be given in an organisation: built-in ones first, then its own, oldest first.
///
/// # Errors
/// [`Error::Db`].
pub async fn list(
    from: &impl Reads,
    access: &OrgAccess<OrgRead>,
    filter: RoleFilter,
    page: PageRequest,
) -> Result<Page<Role>> {
    let RoleFilter { level, audience } = filter;
    let own = own(access.org.id)
        .order_by_asc(role::Column::CreatedAt)
        .order_by_asc(role::Column::Id)
        .all(from.conn())
        .await?;
    let mut roles: Vec<Role> = BuiltinRole::ALL.iter().map(Role::from).collect();
    roles.extend(own.into_iter().map(role).collect::<Result<Vec<_>>>()?);
    roles.retain(|role| {
        level.is_none_or(|level| role.level == level) && audience.is_none_or(|audience| role.audience == audience)
    });
    Ok(Page::of(roles, page))
}

pub(super) fn own(org: OrgId) -> sea_orm::Select<role::Entity> {
    role::Entity::find().filter(role::Column::OrgId.eq(org))
}

/// A role by its id, or by its name and level.
///
/// # Errors
/// `not_found`.
pub async fn get<A>(from: &impl Reads, access: &OrgAccess<A>, name: &str, level: RoleLevel) -> Result<Role> {
    let found = find(from, access.org.id, name, level).await?;
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// A role that can be given in an organisation, by its id or its name. Names are unique within a level only, so
/// `level` counts for a name.
///
/// # Errors
/// [`Error::Db`].
pub async fn find(from: &impl Reads, org: OrgId, name: &str, level: RoleLevel) -> Result<Option<Role>> {
    let (builtin, own) = match name.parse::<RoleId>() {
        Ok(id) => (BuiltinRole::by_id(id), own(org).filter(role::Column::Id.eq(id))),
        Err(_) => (
            BuiltinRole::by_name(level, name),
            own(org)
                .filter(role::Column::Level.eq(level.as_str()))
                .filter(role::Column::Name.eq(name)),
        ),
    };
    if let Some(builtin) = builtin {
        return Ok(Some(builtin.into()));
    }
    own.one(from.conn()).await?.map(role).transpose()
}
