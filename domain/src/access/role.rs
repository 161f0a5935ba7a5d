//! The roles that every organisation has, as data.

use uuid::Uuid;

use super::class::EnvClass::{Dev, Staging};
use super::permission::{GrantSet, Permission};
use crate::kernel::id::RoleId;

/// Where a role can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RoleLevel {
    Org,
    Project,
}

impl RoleLevel {
    /// The level as stored and published: `org`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Project => "project",
        }
    }

    /// Reads the stored form.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Org, Self::Project]
            .into_iter()
            .find(|level| level.as_str() == text)
    }
}

/// What every role of an organisation but `member` sees.
const BASE: GrantSet = MEMBER.with(&[Permission::TemplatesRead]);

const MEMBER: GrantSet = GrantSet::EMPTY.with(&[
    Permission::OrgRead,
    Permission::MembersRead,
    Permission::ProjectsRead,
    Permission::EnvsRead,
]);

const ORG_ADMIN: GrantSet = GrantSet::ALL.without(&[
    Permission::OrgUpdate,
    Permission::OrgDelete,
    Permission::ProjectsDelete,
    Permission::MembersSetRole,
]);

/// Writes every class, reads dev and staging only.
const ORG_DEVELOPER: GrantSet = BASE
    .with(&[
        Permission::SecretsList,
        Permission::SecretsWrite,
        Permission::SecretsDelete,
    ])
    .with_class(Permission::SecretsRead, Dev)
    .with_class(Permission::SecretsRead, Staging);

const ORG_VIEWER: GrantSet = BASE.with_class(Permission::SecretsRead, Dev);

/// What every role of a project sees.
const PROJECT_BASE: GrantSet = GrantSet::EMPTY.with(&[
    Permission::ProjectsRead,
    Permission::MembersRead,
    Permission::EnvsRead,
    Permission::TemplatesRead,
]);

/// A membership in one project is narrow already, so it reads every class.
const PROJECT_VIEWER: GrantSet = PROJECT_BASE.with(&[Permission::SecretsRead]);

const PROJECT_DEVELOPER: GrantSet = PROJECT_VIEWER.with(&[
    Permission::EnvsManage,
    Permission::SecretsList,
    Permission::SecretsWrite,
    Permission::SecretsDelete,
]);

const PROJECT_ADMIN: GrantSet = PROJECT_DEVELOPER.with(&[
    Permission::ProjectsUpdate,
    Permission::ProjectsArchive,
    Permission::MembersInvite,
    Permission::MembersRemove,
    Permission::MembersSetRole,
    Permission::SecretsBulkDelete,
    Permission::TemplatesManage,
    Permission::KeysRotate,
    Permission::KeysVerify,
    Permission::AccessRead,
]);

const PROJECT_OWNER: GrantSet = PROJECT_ADMIN.with(&[Permission::ProjectsDelete]);

/// A role that comes with the product. Its id is the same on every instance, so backups restore anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltinRole {
    pub id: RoleId,
    pub level: RoleLevel,
    /// Unique within its level.
    pub name: &'static str,
    grants: GrantSet,
}

impl BuiltinRole {
    pub const ORG_OWNER: Self = Self::new(0x01, RoleLevel::Org, "owner", GrantSet::ALL);
    pub const ORG_ADMIN: Self = Self::new(0x02, RoleLevel::Org, "admin", ORG_ADMIN);
    pub const ORG_DEVELOPER: Self = Self::new(0x03, RoleLevel::Org, "developer", ORG_DEVELOPER);
    pub const ORG_VIEWER: Self = Self::new(0x04, RoleLevel::Org, "viewer", ORG_VIEWER);
    pub const ORG_MEMBER: Self = Self::new(0x05, RoleLevel::Org, "member", MEMBER);
    pub const PROJECT_OWNER: Self = Self::new(0x11, RoleLevel::Project, "owner", PROJECT_OWNER);
    pub const PROJECT_ADMIN: Self = Self::new(0x12, RoleLevel::Project, "admin", PROJECT_ADMIN);
    pub const PROJECT_DEVELOPER: Self = Self::new(0x13, RoleLevel::Project, "developer", PROJECT_DEVELOPER);
    pub const PROJECT_VIEWER: Self = Self::new(0x14, RoleLevel::Project, "viewer", PROJECT_VIEWER);

    /// Every built-in role, those of the organisation first.
    pub const ALL: &'static [Self] = &[
        Self::ORG_OWNER,
        Self::ORG_ADMIN,
        Self::ORG_DEVELOPER,
        Self::ORG_VIEWER,
        Self::ORG_MEMBER,
        Self::PROJECT_OWNER,
        Self::PROJECT_ADMIN,
        Self::PROJECT_DEVELOPER,
        Self::PROJECT_VIEWER,
    ];

    /// `number` makes the id and must never change.
    const fn new(number: u128, level: RoleLevel, name: &'static str, grants: GrantSet) -> Self {
        let id = RoleId(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | number));
        Self {
            id,
            level,
            name,
            grants,
        }
    }

    pub fn by_id(id: RoleId) -> Option<&'static Self> {
        Self::ALL.iter().find(|role| role.id == id)
    }

    pub fn by_name(level: RoleLevel, name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|role| role.level == level && role.name == name)
    }

    pub const fn grants(&self) -> &GrantSet {
        &self.grants
    }

    /// What a role goes by where it is referred to: the name of a built-in one, the id of any other.
    pub fn reference(id: RoleId) -> String {
        Self::by_id(id).map_or_else(|| id.to_string(), |role| role.name.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::class::EnvClass;
    use super::*;

    /// Where a role has a permission: `all`, the classes, or `-`.
    fn cell(grants: &GrantSet, permission: Permission) -> String {
        if grants.covers(permission, None) {
            return "all".to_owned();
        }
        let classes: Vec<_> = EnvClass::ALL
            .into_iter()
            .filter(|class| grants.covers(permission, Some(*class)))
            .map(EnvClass::as_str)
            .collect();
        if classes.is_empty() {
            "-".to_owned()
        } else {
            classes.join("+")
        }
    }

    /// The policy table: a change here is a change of who may do what.
    #[test]
    fn policy() {
        let mut table = format!("{:<25}", "");
        for role in BuiltinRole::ALL {
            let _ = write!(table, "{:<19}", format!("{} {}", role.level.as_str(), role.name));
        }
        for &permission in Permission::ALL {
            let _ = write!(table, "\n{:<25}", permission.as_str());
            for role in BuiltinRole::ALL {
                let _ = write!(table, "{:<19}", cell(role.grants(), permission));
            }
        }
        let table: Vec<_> = table.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn ids_and_names_are_unique_and_find_their_role() {
        for role in BuiltinRole::ALL {
            assert_eq!(BuiltinRole::by_id(role.id), Some(role));
            assert_eq!(BuiltinRole::by_name(role.level, role.name), Some(role));
            assert_eq!(RoleLevel::parse(role.level.as_str()), Some(role.level));
        }
        assert_eq!(BuiltinRole::by_name(RoleLevel::Project, "member"), None);
        assert_eq!(BuiltinRole::by_id(RoleId(Uuid::nil())), None);
    }

    #[test]
    fn ids_never_change() {
        assert_eq!(
            BuiltinRole::ORG_OWNER.id.0.to_string(),
            "01900000-0000-7000-8000-000000000001"
        );
        assert_eq!(
            BuiltinRole::PROJECT_VIEWER.id.0.to_string(),
            "01900000-0000-7000-8000-000000000014"
        );
    }

    #[test]
    fn each_role_holds_what_the_next_lower_one_holds() {
        for (higher, lower) in [
            (BuiltinRole::ORG_OWNER, BuiltinRole::ORG_ADMIN),
            (BuiltinRole::ORG_ADMIN, BuiltinRole::ORG_DEVELOPER),
            (BuiltinRole::ORG_DEVELOPER, BuiltinRole::ORG_VIEWER),
            (BuiltinRole::ORG_VIEWER, BuiltinRole::ORG_MEMBER),
            (BuiltinRole::PROJECT_OWNER, BuiltinRole::PROJECT_ADMIN),
            (BuiltinRole::PROJECT_ADMIN, BuiltinRole::PROJECT_DEVELOPER),
            (BuiltinRole::PROJECT_DEVELOPER, BuiltinRole::PROJECT_VIEWER),
            (BuiltinRole::ORG_OWNER, BuiltinRole::PROJECT_OWNER),
        ] {
            assert!(
                lower.grants().is_subset_of(higher.grants()),
                "{} {}",
                higher.name,
                lower.name
            );
            assert!(
                !higher.grants().is_subset_of(lower.grants()),
                "{} {}",
                higher.name,
                lower.name
            );
        }
    }
}
