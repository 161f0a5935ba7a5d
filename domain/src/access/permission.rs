//! What may be done, as strings and as sets: `resource:action[@class]`. Roles, ACL rules and token scopes all use
//! this one grammar.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::class::{ClassSet, EnvClass};

/// Text that is no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseGrantError {
    #[error("unknown permission")]
    Permission,
    #[error("unknown environment class: it is @dev, @staging or @prod")]
    Class,
    #[error("this permission does not act on environments, so it takes no class")]
    ClassNotAllowed,
}

/// A list with an entry that is no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("entry {index}: {source}")]
pub struct ParseGrantSetError {
    /// Position in the list, from 0.
    pub index: usize,
    pub source: ParseGrantError,
}

/// The deepest thing that a permission acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    Org,
    Project,
    Env,
}

macro_rules! permissions {
    ($($name:ident = $text:literal, $reach:ident;)*) => {
        /// Everything that can be allowed or denied. Closed: a string that is not here is refused on write.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl Permission {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The permission as stored and published: `secrets:read`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Whether it is asked about single keys, so that a rule about one key can grant it.
            pub fn acts_on_keys(self) -> bool {
                self.as_str().starts_with("secrets:")
            }

            /// The deepest thing that it acts on.
            pub const fn reach(self) -> Reach {
                match self { $(Self::$name => Reach::$reach,)* }
            }
        }
    };
}

permissions! {
    OrgRead = "org:read", Org;
    OrgUpdate = "org:update", Org;
    OrgDelete = "org:delete", Org;
    MembersRead = "members:read", Project;
    MembersInvite = "members:invite", Project;
    MembersRemove = "members:remove", Project;
    MembersSetRole = "members:set_role", Project;
    RolesManage = "roles:manage", Org;
    ProjectsRead = "projects:read", Project;
    ProjectsCreate = "projects:create", Org;
    ProjectsUpdate = "projects:update", Project;
    ProjectsArchive = "projects:archive", Project;
    ProjectsDelete = "projects:delete", Project;
    EnvsRead = "envs:read", Env;
    EnvsManage = "envs:manage", Env;
    SecretsList = "secrets:list", Env;
    SecretsRead = "secrets:read", Env;
    SecretsWrite = "secrets:write", Env;
    SecretsDelete = "secrets:delete", Env;
    SecretsBulkDelete = "secrets:bulk_delete", Env;
    TemplatesRead = "templates:read", Env;
    TemplatesManage = "templates:manage", Project;
    KeysRotate = "keys:rotate", Project;
    KeysVerify = "keys:verify", Project;
    WebhooksRead = "webhooks:read", Org;
    WebhooksManage = "webhooks:manage", Org;
    AclManage = "acl:manage", Org;
    ServiceAccountsManage = "service_accounts:manage", Org;
    AccessRead = "access:read", Project;
    AuditRead = "audit:read", Org;
    EventsRead = "events:read", Org;
    BillingRead = "billing:read", Org;
    BillingManage = "billing:manage", Org;
    SsoManage = "sso:manage", Org;
    TokensManage = "tokens:manage", Org;
    UsersRead = "users:read", Org;
    UsersManage = "users:manage", Org;
}

// A `GrantSet` keeps one bit for each permission.
const _: () = assert!(Permission::ALL.len() <= 64);

impl Permission {
    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Permission {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, ParseGrantError> {
        Self::ALL
            .iter()
            .copied()
            .find(|permission| permission.as_str() == text)
            .ok_or(ParseGrantError::Permission)
    }
}

/// One permission, everywhere or in the environments of one class only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    permission: Permission,
    class: Option<EnvClass>,
}

impl Grant {
    /// The permission in every class.
    pub const fn everywhere(permission: Permission) -> Self {
        Self {
            permission,
            class: None,
        }
    }

    /// The permission in one class.
    ///
    /// # Errors
    /// [`ParseGrantError::ClassNotAllowed`] if the permission does not act on environments.
    pub fn in_class(permission: Permission, class: EnvClass) -> Result<Self, ParseGrantError> {
        match permission.reach() {
            Reach::Env => Ok(Self {
                permission,
                class: Some(class),
            }),
            Reach::Org | Reach::Project => Err(ParseGrantError::ClassNotAllowed),
        }
    }

    pub const fn permission(self) -> Permission {
        self.permission
    }

    /// The one class it is narrowed to; `None` means every class.
    pub const fn class(self) -> Option<EnvClass> {
        self.class
    }

    /// Whether it allows `permission` in an environment of `class`; `None` asks for every class. Who may read a
    /// secret may list it.
    pub fn covers(self, permission: Permission, class: Option<EnvClass>) -> bool {
        let implied = self.permission == Permission::SecretsRead && permission == Permission::SecretsList;
        (self.permission == permission || implied) && (self.class.is_none() || self.class == class)
    }
}

/// `secrets:read@dev`
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.class {
            None => write!(f, "{}", self.permission),
            Some(class) => write!(f, "{}@{class}", self.permission),
        }
    }
}

impl FromStr for Grant {
    type Err = ParseGrantError;

    fn from_str(text: &str) -> Result<Self, ParseGrantError> {
        match text.split_once('@') {
            None => Ok(Self::everywhere(text.parse()?)),
            Some((permission, class)) => {
                let permission = permission.parse()?;
                Self::in_class(permission, EnvClass::parse(class).map_err(|_| ParseGrantError::Class)?)
            }
        }
    }
}

impl Serialize for Grant {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// A set of grants, one bit for each. In JSON a list of strings, ordered as [`Permission::ALL`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct GrantSet {
    /// Granted in every class.
    every: u64,
    dev: u64,
    staging: u64,
    prod: u64,
}

impl GrantSet {
    pub const EMPTY: Self = Self {
        every: 0,
        dev: 0,
        staging: 0,
        prod: 0,
    };
    /// Every permission in every class.
    pub const ALL: Self = Self::EMPTY.with(Permission::ALL);

    /// This set and all of `permissions`, in every class.
    #[must_use]
    pub const fn with(mut self, mut permissions: &[Permission]) -> Self {
        while let [first, rest @ ..] = permissions {
            self.every |= first.bit();
            permissions = rest;
        }
        self
    }

    /// This set and one permission in one class. A permission that takes no class changes nothing.
    #[must_use]
    pub const fn with_class(mut self, permission: Permission, class: EnvClass) -> Self {
        if matches!(permission.reach(), Reach::Env) {
            match class {
                EnvClass::Dev => self.dev |= permission.bit(),
                EnvClass::Staging => self.staging |= permission.bit(),
                EnvClass::Prod => self.prod |= permission.bit(),
            }
        }
        self
    }

    /// This set without any of `permissions`, in whatever class.
    #[must_use]
    pub const fn without(mut self, mut permissions: &[Permission]) -> Self {
        while let [first, rest @ ..] = permissions {
            self.every &= !first.bit();
            self.dev &= !first.bit();
            self.staging &= !first.bit();
            self.prod &= !first.bit();
            permissions = rest;
        }
        self
    }

    /// This set with `permission` in exactly `classes` instead of where it was; a set that lacks it stays as it is.
    #[must_use]
    pub fn narrowed_to(self, permission: Permission, classes: ClassSet) -> Self {
        if !self.mentions(permission) {
            return self;
        }
        classes.iter().fold(self.without(&[permission]), |set, class| {
            set.with_class(permission, class)
        })
    }

    /// Whether `permission` is granted in an environment of `class`; `None` asks for every class. Who may read a
    /// secret may list it.
    pub fn covers(&self, permission: Permission, class: Option<EnvClass>) -> bool {
        let within = match class {
            None => self.dev & self.staging & self.prod,
            Some(EnvClass::Dev) => self.dev,
            Some(EnvClass::Staging) => self.staging,
            Some(EnvClass::Prod) => self.prod,
        };
        (self.every | within) & permission.bit() != 0
            || (permission == Permission::SecretsList && self.covers(Permission::SecretsRead, class))
    }

    /// Whether `other` allows all that this set allows: nobody grants what they do not hold.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|grant| other.covers(grant.permission, grant.class))
    }

    /// This set as far as it reaches into environments of one class.
    #[must_use]
    pub fn within(&self, class: EnvClass) -> Self {
        let narrowed = |grant: Grant| Grant {
            class: matches!(grant.permission.reach(), Reach::Env).then_some(class),
            ..grant
        };
        let here = self.iter().filter(|grant| grant.class.is_none_or(|of| of == class));
        here.map(narrowed).collect()
    }

    /// Whether `permission` is granted in at least one class, by its own name.
    pub fn mentions(&self, permission: Permission) -> bool {
        (self.every | self.dev | self.staging | self.prod) & permission.bit() != 0
    }

    /// What either allows.
    #[must_use]
    pub const fn union(&self, other: &Self) -> Self {
        Self {
            every: self.every | other.every,
            dev: self.dev | other.dev,
            staging: self.staging | other.staging,
            prod: self.prod | other.prod,
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// Its grants, ordered as [`Permission::ALL`], within one permission the classless one first.
    pub fn iter(&self) -> impl Iterator<Item = Grant> {
        let within = [
            (self.every, None),
            (self.dev, Some(EnvClass::Dev)),
            (self.staging, Some(EnvClass::Staging)),
            (self.prod, Some(EnvClass::Prod)),
        ];
        Permission::ALL.iter().flat_map(move |&permission| {
            let held = within.into_iter().filter(move |(bits, _)| bits & permission.bit() != 0);
            held.map(move |(_, class)| Grant { permission, class })
        })
    }

    /// Reads a list such as `["secrets:read@dev", "envs:read"]`.
    ///
    /// # Errors
    /// The first entry that is no grant, with its position.
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, ParseGrantSetError> {
        let grant = |(index, text): (usize, &T)| {
            text.as_ref()
                .parse::<Grant>()
                .map_err(|source| ParseGrantSetError { index, source })
        };
        list.iter().enumerate().map(grant).collect()
    }

    /// The list that [`GrantSet::parse`] reads.
    pub fn to_list(&self) -> Vec<String> {
        self.iter().map(|grant| grant.to_string()).collect()
    }
}

impl FromIterator<Grant> for GrantSet {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        grants.into_iter().fold(Self::EMPTY, |set, grant| match grant.class {
            None => set.with(&[grant.permission]),
            Some(class) => set.with_class(grant.permission, class),
        })
    }
}

impl Serialize for GrantSet {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for GrantSet {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<Grant>::deserialize(from)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
