//! Giving a role: what is asked for, and what it takes.

use super::membership::Scope;
use super::place::Place;
use crate::access::role::RoleLevel;
use crate::access::{Caller, ClassSet, EnvClass, GrantSet, Permission, grant};
use crate::kernel::{Problem, Reads, Result, Timestamp};
use crate::policy::assignable::{self, AssignableRole};

/// The role that a request names in `field`.
///
/// # Errors
/// `invalid_field` when the organisation has no such role at this level.
pub async fn named(from: &impl Reads, scope: Scope, field: &'static str, reference: &str) -> Result<AssignableRole> {
    let level = scope.level();
    let found = assignable::find(from, scope.org, level, reference).await?;
    let message = match level {
        RoleLevel::Org => "is no role of the organisation's; roles of projects are given in a project",
        RoleLevel::Project => "is no role of a project's; roles of the organisation are given there",
    };
    Ok(found.ok_or_else(|| Problem::field(field, "unknown", message))?)
}

/// What joining by oneself can give, as a request names it in `join_role`: a role that means something here, and never
/// ownership.
///
/// # Errors
/// `invalid_field`.
pub async fn joinable(from: &impl Reads, scope: Scope, reference: &str) -> Result<AssignableRole> {
    let role = named(from, scope, "join_role", reference).await?;
    if role.is_owner() || role.is_app {
        let message = "must be a role of this platform's, and not owner";
        return Err(Problem::field("join_role", "conflict", message).into());
    }
    Ok(role)
}

/// A role to be given, as asked for.
#[derive(Clone, Debug, Default)]
pub struct RoleRequest {
    /// Name or id.
    pub role: String,
    /// Where its `secrets:read` is to reach instead.
    pub env_classes: Option<Vec<EnvClass>>,
    pub expires_at: Option<Timestamp>,
}

/// A role to be given, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub role: AssignableRole,
    pub env_classes: Option<ClassSet>,
    pub expires_at: Option<Timestamp>,
}

impl RoleRequest {
    /// # Errors
    /// `invalid_field` naming `role`, `env_classes` or `expires_at`.
    pub async fn check(self, from: &impl Reads, scope: Scope) -> Result<Assignment> {
        let Self {
            role,
            env_classes,
            expires_at,
        } = self;
        let role = named(from, scope, "role", &role).await?;
        if expires_at.is_some_and(|end| end <= from.now()) {
            return Err(Problem::field("expires_at", "range", "must lie in the future").into());
        }
        let env_classes = env_classes.map(|list| classes(&role, list)).transpose()?;
        Ok(Assignment {
            role,
            env_classes,
            expires_at,
        })
    }
}

fn classes(role: &AssignableRole, list: Vec<EnvClass>) -> Result<ClassSet> {
    let wrong = |reason, message| Err(Problem::field("env_classes", reason, message).into());
    if list.is_empty() {
        return wrong(
            "required",
            "must name at least one class, or be absent for those of the role",
        );
    }
    if role.is_owner() {
        return wrong("conflict", "do not apply to owners, who read every class");
    }
    if !role.grants.mentions(Permission::SecretsRead) {
        return wrong("conflict", "do not apply to a role that reads no secrets");
    }
    Ok(list.into_iter().fold(ClassSet::EMPTY, ClassSet::with))
}

impl Assignment {
    /// The role as it is, for good.
    pub fn plain(role: AssignableRole) -> Self {
        Self {
            role,
            env_classes: None,
            expires_at: None,
        }
    }

    /// What it grants, `env_classes` applied.
    pub fn grants(&self) -> GrantSet {
        let grants = self.role.grants.clone();
        match self.env_classes {
            None => grants,
            Some(classes) => grants.narrowed_to(Permission::SecretsRead, classes),
        }
    }

    /// Nobody gives more than they hold. Making an owner also takes a recent sign-in; a role of the tenant's
    /// application takes the right to change roles.
    ///
    /// # Errors
    /// `forbidden`, `insufficient_scope`, `step_up_required`, `session_required`.
    pub fn require_may_give(&self, from: &impl Reads, caller: &Caller, place: &impl Place) -> Result<()> {
        if self.role.is_app {
            return place.require(Permission::MembersSetRole);
        }
        place.require_holds(&self.grants())?;
        if self.role.is_owner() {
            grant::require_recent_sign_in(from, caller)?;
        }
        Ok(())
    }
}
