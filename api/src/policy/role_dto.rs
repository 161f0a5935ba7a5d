//! Roles as the API shows them.

use domain::access::role::RoleLevel as DomainLevel;
use domain::policy::role::{self, Audience as DomainAudience};
use poem_openapi::{Enum, Object};

use crate::http::time::Time;

/// Where a role can be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum RoleLevel {
    /// In the whole organisation.
    #[default]
    Org,
    /// In one project.
    Project,
}

impl From<RoleLevel> for DomainLevel {
    fn from(level: RoleLevel) -> Self {
        match level {
            RoleLevel::Org => Self::Org,
            RoleLevel::Project => Self::Project,
        }
    }
}

impl From<DomainLevel> for RoleLevel {
    fn from(level: DomainLevel) -> Self {
        match level {
            DomainLevel::Org => Self::Org,
            DomainLevel::Project => Self::Project,
        }
    }
}

/// Whose permissions a role holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Audience {
    /// This platform's: the role decides what its holders may do here.
    #[default]
    Platform,
    /// Your own application's: kept for it, and granting nothing here.
    App,
}

impl From<Audience> for DomainAudience {
    fn from(audience: Audience) -> Self {
        match audience {
            Audience::Platform => Self::Platform,
            Audience::App => Self::App,
        }
    }
}

impl From<DomainAudience> for Audience {
    fn from(audience: DomainAudience) -> Self {
        match audience {
            DomainAudience::Platform => Self::Platform,
            DomainAudience::App => Self::App,
        }
    }
}

/// A new role.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct NewRole {
    /// Its name in requests: `[a-z0-9][a-z0-9-]{0,62}`, unique within its level, built-in roles included.
    pub name: String,
    /// Its name for people, up to 200 characters. Absent: as `name`.
    pub display_name: Option<String>,
    /// Where it can be held.
    pub level: RoleLevel,
    /// Whose permissions it holds.
    #[oai(default)]
    pub audience: Audience,
    /// What it grants: permissions such as `secrets:read@dev`, none that you do not hold yourself. For `audience: app`
    /// up to 100 strings of your own, such as `comments:write`.
    pub permissions: Vec<String>,
}

/// Changes to a role; what is absent stays.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub struct RolePatch {
    /// Its name in requests.
    pub name: Option<String>,
    /// Its name for people, up to 200 characters.
    pub display_name: Option<String>,
    /// What it grants; replaced as a whole.
    pub permissions: Option<Vec<String>>,
}

/// A role.
#[derive(Clone, Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Role {
    /// Id of the role: `rol_…`.
    pub id: String,
    /// Its name in requests, unique within its level.
    pub name: String,
    /// Its name for people.
    pub display_name: String,
    /// Where it can be held.
    pub level: RoleLevel,
    /// Whose permissions it holds.
    pub audience: Audience,
    /// What it grants.
    pub permissions: Vec<String>,
    /// Whether it comes with the product; then it cannot change or go.
    pub builtin: bool,
    /// When it was made; absent for one that comes with the product.
    pub created_at: Option<Time>,
    /// When it last changed; absent for one that comes with the product.
    pub updated_at: Option<Time>,
}

impl From<role::Role> for Role {
    fn from(found: role::Role) -> Self {
        let role::Role {
            id,
            level,
            audience,
            name,
            display_name,
            permissions,
            is_builtin,
            created_at,
            updated_at,
        } = found;
        Self {
            id: id.to_string(),
            name,
            display_name,
            level: level.into(),
            audience: audience.into(),
            permissions,
            builtin: is_builtin,
            created_at: created_at.map(Into::into),
            updated_at: updated_at.map(Into::into),
        }
    }
}
