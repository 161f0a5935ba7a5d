//! The gate is the loader. A rule that changes an environment takes an `EnvAccess<SecretsWrite>`; the only way to
//! have one is to load the environment through here, and that asks. Neither can be forgotten, and a proof for
//! reading does not compile where one for writing is wanted.

use std::marker::PhantomData;

use super::caller::Caller;
use super::decide::{Reason, decide, visible};
use super::facts::{EnvRef, ProjectRef, Resource, Subject};
use super::held::{Held, refusal, role_at};
use super::load::{Loaded, OrgRow, ProjectRow, load};
use super::permission::{GrantSet, Permission};
use crate::kernel::id::ProjectId;
use crate::kernel::{Problem, ProblemCode, Reads, Result};

/// A permission as a type.
pub trait Permitted: Send + Sync + 'static {
    const PERMISSION: Permission;
}

macro_rules! permitted {
    ($($name:ident),* $(,)?) => {$(
        #[doc = concat!("Proof marker of [`Permission::", stringify!($name), "`].")]
        #[derive(Debug)]
        pub struct $name;

        impl Permitted for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

permitted! {
    OrgRead, OrgUpdate, OrgDelete, ProjectsRead, ProjectsCreate, ProjectsUpdate, ProjectsDelete, EnvsRead, EnvsManage,
    SecretsList, SecretsRead, SecretsWrite, SecretsDelete, WebhooksRead, WebhooksManage, AuditRead, TokensManage,
    MembersRead, MembersInvite, MembersRemove, MembersSetRole, RolesManage, AclManage, ServiceAccountsManage,
    AccessRead, ProjectsArchive, SecretsBulkDelete, KeysRotate, KeysVerify, TemplatesRead, TemplatesManage, EventsRead,
    BillingRead, BillingManage, UsersRead, UsersManage,
}

/// An organisation in which the caller may do `A`.
#[derive(Debug)]
pub struct OrgAccess<A> {
    pub org: OrgRow,
    pub(super) held: Held,
    permission: PhantomData<A>,
}

/// A project in which the caller may do `A`.
#[derive(Debug)]
pub struct ProjectAccess<A> {
    pub org: OrgRow,
    pub project: ProjectRow,
    pub(super) held: Held,
    permission: PhantomData<A>,
}

impl<A> OrgAccess<A> {
    /// Nobody grants above themselves: the caller holds all of `grants` in the whole organisation.
    ///
    /// # Errors
    /// `forbidden` naming what it lacks.
    pub fn require_holds(&self, grants: &GrantSet) -> Result<()> {
        self.held.require_holds(None, grants)
    }

    /// The same within one project of the organisation.
    ///
    /// # Errors
    /// `forbidden` naming what it lacks.
    pub fn require_holds_in(&self, project: ProjectId, grants: &GrantSet) -> Result<()> {
        self.held.require_holds(Some(project), grants)
    }

    /// Whether the caller holds all of `grants` in the whole organisation.
    pub fn holds(&self, grants: &GrantSet) -> bool {
        self.held.lacking(None, grants).is_none()
    }

    /// Whoever restricts somebody ranks as high: the caller's own roles grant all of `grants`, whatever rules deny.
    ///
    /// # Errors
    /// `forbidden` naming what they lack.
    pub fn require_rank(&self, grants: &GrantSet) -> Result<()> {
        self.held.require_rank(None, grants)
    }

    /// To lift a denial is to grant what it took; what is denied to the caller only an owner lifts.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn require_lift(&self, about: Subject, grants: &GrantSet) -> Result<()> {
        self.held.require_lift(about, grants)
    }

    /// Roles that the caller holds in the whole organisation.
    pub fn role(&self) -> Option<&str> {
        role_at(&self.held, None)
    }

    /// Whether the caller may do this to a project of the organisation.
    pub fn allows_in_project(&self, permission: Permission, project: ProjectRef<'_>) -> bool {
        let resource = Resource::project(self.org.id, project);
        decide(&self.held.actor, permission, &resource, &self.held.facts, self.held.now).allow
    }

    /// The role that the caller holds in a project, or in the whole organisation.
    pub fn role_in(&self, project: ProjectRef<'_>) -> Option<&str> {
        role_at(&self.held, Some(project))
    }

    /// Whether the caller may know of an environment.
    pub fn sees_env(&self, project: ProjectRef<'_>, env: EnvRef<'_>) -> bool {
        visible(
            &self.held.actor,
            &Resource::env(self.org.id, project, env),
            &self.held.facts,
            self.held.now,
        )
    }

    /// Whether the caller may know of a project.
    pub fn sees_project(&self, project: ProjectRef<'_>) -> bool {
        visible(
            &self.held.actor,
            &Resource::project(self.org.id, project),
            &self.held.facts,
            self.held.now,
        )
    }
}

impl<A> ProjectAccess<A> {
    /// Nobody grants above themselves: the caller holds all of `grants` in the project.
    ///
    /// # Errors
    /// `forbidden` naming what it lacks.
    pub fn require_holds(&self, grants: &GrantSet) -> Result<()> {
        self.held.require_holds(Some(self.project.id), grants)
    }

    /// Whether the caller holds all of `grants` in the project.
    pub fn holds(&self, grants: &GrantSet) -> bool {
        self.held.lacking(Some(self.project.id), grants).is_none()
    }

    /// The role that the caller holds in the project, or in the whole organisation.
    pub fn role(&self) -> Option<&str> {
        role_at(
            &self.held,
            Some(ProjectRef {
                id: self.project.id,
                slug: &self.project.slug,
            }),
        )
    }

    /// Whether the caller may know of an environment of the project.
    pub fn sees_env(&self, env: EnvRef<'_>) -> bool {
        let project = ProjectRef {
            id: self.project.id,
            slug: &self.project.slug,
        };
        visible(
            &self.held.actor,
            &Resource::env(self.org.id, project, env),
            &self.held.facts,
            self.held.now,
        )
    }
}

pub(super) async fn loaded(from: &impl Reads, caller: &Caller, path: &[&str]) -> Result<(Loaded, Held)> {
    caller.mark_decided();
    let loaded = match caller.recall.as_ref().and_then(|recall| recall.get(path)) {
        Some(loaded) => loaded,
        None => load_anew(from, caller, path).await?,
    };
    let held = held(from, caller, &loaded);
    Ok((loaded, held))
}

/// What was loaded for the caller's principal, as the caller holds it.
pub(super) fn held(from: &impl Reads, caller: &Caller, loaded: &Loaded) -> Held {
    caller.mark_org(loaded.org.id);
    Held {
        actor: caller.actor.clone(),
        facts: loaded.facts.clone(),
        now: from.now(),
        lacks_second_factor: loaded.org.requires_second_factor && !caller.has_second_factor,
    }
}

async fn load_anew(from: &impl Reads, caller: &Caller, path: &[&str]) -> Result<Loaded> {
    let principal = caller.actor.principal;
    let loaded = load(from, principal, path, false)
        .await?
        .ok_or_else(Problem::not_found)?;
    if let Some(recall) = &caller.recall {
        recall.keep(principal, path, &loaded);
    }
    Ok(loaded)
}

/// Loads an organisation in which the caller may do `A`. `org` is an id or a slug.
///
/// # Errors
/// `not_found`, `forbidden`, `insufficient_scope`.
pub async fn org<A: Permitted>(from: &impl Reads, caller: &Caller, org: &str) -> Result<OrgAccess<A>> {
    let (Loaded { org, .. }, held) = loaded(from, caller, &[org]).await?;
    let resource = Resource::org(org.id);
    held.require(
        decide(&held.actor, A::PERMISSION, &resource, &held.facts, held.now),
        A::PERMISSION,
        &resource,
    )?;
    Ok(OrgAccess {
        org,
        held,
        permission: PhantomData,
    })
}

/// Loads an organisation that the caller may know of, whatever it may do there: for lists that show each caller
/// what is its own.
///
/// # Errors
/// `not_found`.
pub async fn visible_org<A: Permitted>(from: &impl Reads, caller: &Caller, org: &str) -> Result<OrgAccess<A>> {
    let (Loaded { org, .. }, held) = loaded(from, caller, &[org]).await?;
    if !visible(&held.actor, &Resource::org(org.id), &held.facts, held.now) {
        return Err(Problem::not_found().into());
    }
    held.require_second_factor()?;
    // A token without the scope is told so here; without it every list would look empty.
    if held
        .actor
        .ceiling
        .grants
        .as_ref()
        .is_some_and(|grants| !grants.mentions(A::PERMISSION))
    {
        return Err(refusal(A::PERMISSION, Reason::InsufficientScope).into());
    }
    Ok(OrgAccess {
        org,
        held,
        permission: PhantomData,
    })
}

/// Loads a deleted organisation that the caller may restore: who could delete it can bring it back.
///
/// # Errors
/// `not_found`, `forbidden`.
pub async fn deleted_org<A: Permitted>(from: &impl Reads, caller: &Caller, org: &str) -> Result<OrgAccess<A>> {
    caller.mark_decided();
    let Loaded { org, facts, .. } = load(from, caller.actor.principal, &[org], true)
        .await?
        .ok_or_else(Problem::not_found)?;
    let held = Held {
        actor: caller.actor.clone(),
        facts,
        now: from.now(),
        lacks_second_factor: org.requires_second_factor && !caller.has_second_factor,
    };
    let resource = Resource::org(org.id);
    held.require(
        decide(&held.actor, A::PERMISSION, &resource, &held.facts, held.now),
        A::PERMISSION,
        &resource,
    )?;
    Ok(OrgAccess {
        org,
        held,
        permission: PhantomData,
    })
}

/// Loads a project in which the caller may do `A`.
///
/// # Errors
/// `not_found`, `forbidden`, `insufficient_scope`.
pub async fn project<A: Permitted>(
    from: &impl Reads,
    caller: &Caller,
    org: &str,
    project: &str,
) -> Result<ProjectAccess<A>> {
    let (Loaded { org, project, .. }, held) = loaded(from, caller, &[org, project]).await?;
    let project = project.ok_or_else(Problem::not_found)?;
    let resource = Resource::project(
        org.id,
        ProjectRef {
            id: project.id,
            slug: &project.slug,
        },
    );
    held.require(
        decide(&held.actor, A::PERMISSION, &resource, &held.facts, held.now),
        A::PERMISSION,
        &resource,
    )?;
    Ok(ProjectAccess {
        org,
        project,
        held,
        permission: PhantomData,
    })
}

/// A sign-in or step-up counts as recent for this long.
pub const RECENT_SIGN_IN: std::time::Duration = std::time::Duration::from_mins(10);

/// For dangerous acts: the caller is a person who signed in within the last ten minutes.
///
/// # Errors
/// `session_required` for an API token, `step_up_required` when the sign-in is older.
pub fn require_recent_sign_in(from: &impl Reads, caller: &Caller) -> Result<()> {
    caller.session_user()?;
    if caller
        .auth_time
        .is_some_and(|at| from.now().since(at) <= RECENT_SIGN_IN)
    {
        return Ok(());
    }
    let detail = "Sign in again and repeat the request within ten minutes.";
    Err(Problem::new(ProblemCode::StepUpRequired, detail).into())
}

/// Before an organisation is made to want a second factor: whoever does it has shown one, so that they do not lock
/// themselves out.
///
/// # Errors
/// `conflict`.
pub fn require_own_second_factor(caller: &Caller) -> Result<()> {
    if caller.has_second_factor {
        return Ok(());
    }
    let detail = "Sign in with a second factor yourself first, or you would be locked out.";
    Err(Problem::new(ProblemCode::Conflict, detail).into())
}

/// For acts outside of every organisation: a token that is bound to one cannot do them.
///
/// # Errors
/// `insufficient_scope`.
pub fn require_unbound(caller: &Caller) -> Result<()> {
    let ceiling = &caller.actor.ceiling;
    if ceiling.org.is_none() && ceiling.grants.is_none() && ceiling.patterns.is_empty() {
        return Ok(());
    }
    Err(refusal(Permission::OrgUpdate, Reason::TokenOrg).into())
}

/// For lists over all organisations: the token has the scope at all.
///
/// # Errors
/// `insufficient_scope`.
pub fn require_scope(caller: &Caller, permission: Permission) -> Result<()> {
    match &caller.actor.ceiling.grants {
        Some(grants) if !grants.mentions(permission) => Err(refusal(permission, Reason::InsufficientScope).into()),
        Some(_) | None => Ok(()),
    }
}
