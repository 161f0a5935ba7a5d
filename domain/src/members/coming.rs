//! Coming and going by oneself: joining what is open, leaving what one is in.

use super::assignment::Assignment;
use super::membership::{self, Scope};
use super::{ownership, subject};
use crate::access::door::{Door, door};
use crate::access::{Caller, Origin, Principal};
use crate::auth::verified_address;
use crate::journal::{self, Action, Entry};
use crate::kernel::id::{OrgId, UserId};
use crate::kernel::{Problem, ProblemCode, Result, WriteTx};
use crate::limits::{self, LimitKey};
use crate::orgs::joining::{self as org_joining, JoinPolicy};
use crate::policy::assignable;
use crate::projects::joining as project_joining;

/// The door, with the organisation's row taken: nobody else comes or goes meanwhile.
async fn locked(tx: &WriteTx, caller: &Caller, path: &[&str]) -> Result<Door> {
    let seen = door(tx, caller, path).await?;
    let (org, project) = seen.ids();
    if !ownership::lock(tx, org).await? {
        return Ok(seen);
    }
    let (org, project) = (org.to_string(), project.map(|id| id.to_string()));
    let path: Vec<&str> = [Some(org.as_str()), project.as_deref()].into_iter().flatten().collect();
    door(tx, caller, &path).await
}

fn scope_of(door: &Door) -> Scope {
    let (org, project) = door.ids();
    Scope { org, project }
}

fn is_member_already() -> Problem {
    Problem::new(ProblemCode::Conflict, "You are a member already.")
}

/// Joins an organisation that is open to the caller. Who is not let in and does not know of it is told that there is
/// none.
///
/// # Errors
/// `not_found`, `forbidden`, `insufficient_scope`; `conflict` for a member.
pub async fn join_org(tx: &WriteTx, caller: &Caller, org: &str) -> Result<(Scope, Principal)> {
    let door = locked(tx, caller, &[org]).await?;
    let user = door.person(caller)?;
    if door.is_member() {
        return Err(is_member_already().into());
    }
    let settings = org_joining::of(tx, door.org.id).await?;
    let is_let_in = match settings.policy {
        JoinPolicy::Closed => false,
        JoinPolicy::Open => true,
        JoinPolicy::Domain => {
            let mine = verified_address::domains(tx, user).await?;
            mine.iter().any(|domain| settings.domains.contains(domain))
        }
    };
    if !is_let_in {
        return Err(door.refusal("This organisation is not open to you. Ask for an invitation."));
    }
    enter(tx, caller, &door, user, &settings.role.to_string()).await
}

/// Joins a project that is open to the people of its organisation.
///
/// # Errors
/// Like [`join_org`].
pub async fn join_project(tx: &WriteTx, caller: &Caller, org: &str, project: &str) -> Result<(Scope, Principal)> {
    let door = locked(tx, caller, &[org, project]).await?;
    let user = door.person(caller)?;
    if door.is_member() {
        return Err(is_member_already().into());
    }
    let scope = scope_of(&door);
    let settings = match scope.project {
        None => return Err(Problem::not_found().into()),
        Some(project) => project_joining::of(tx, project).await?,
    };
    if !(settings.is_open && door.is_of_org()) {
        return Err(door.refusal("This project is not open to you. Ask one of its admins."));
    }
    enter(tx, caller, &door, user, &settings.role.to_string()).await
}

/// Lets in whom the organisation's own identity provider has signed in with a verified address of `domain`, if the
/// organisation's join policy would: its provider's word is the organisation's own. Tells whether it did.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn join_by_provider(tx: &WriteTx, org: OrgId, user: UserId, domain: &str, origin: &Origin) -> Result<bool> {
    let (scope, who) = (Scope { org, project: None }, Principal::User(user));
    ownership::lock(tx, org).await?;
    if !membership::held(tx, org, who).await?.is_empty() {
        return Ok(false);
    }
    let settings = org_joining::of(tx, org).await?;
    let is_let_in = match settings.policy {
        JoinPolicy::Closed => false,
        JoinPolicy::Open => true,
        JoinPolicy::Domain => settings.domains.iter().any(|known| known == domain),
    };
    let role = assignable::find(tx, org, scope.level(), &settings.role.to_string()).await?;
    let Some(role) = role.filter(|_| is_let_in) else {
        return Ok(false);
    };
    let name = role.name.clone();
    let seats = limits::hold(tx, org, LimitKey::Members).await?;
    membership::put(tx, scope, who, &Assignment::plain(role), who).await?;
    seats.settle(tx).await?;
    let entry = Entry::in_org(org, Action::MemberJoined, subject::target(who));
    journal::record(tx, origin, entry.with("role", name)).await?;
    Ok(true)
}

async fn enter(tx: &WriteTx, caller: &Caller, door: &Door, user: UserId, role: &str) -> Result<(Scope, Principal)> {
    door.require_wide_token()?;
    let (scope, who) = (scope_of(door), Principal::User(user));
    // A role that is gone lets nobody in.
    let role = assignable::find(tx, scope.org, scope.level(), role).await?;
    let role = role.ok_or_else(|| door.refusal("What joining gave is gone. Ask an owner."))?;
    let name = role.name.clone();
    let seats = limits::hold(tx, scope.org, LimitKey::Members).await?;
    membership::put(tx, scope, who, &Assignment::plain(role), who).await?;
    seats.settle(tx).await?;
    let entry = Entry {
        project: scope.project,
        ..Entry::in_org(scope.org, Action::MemberJoined, subject::target(who))
    };
    journal::record(tx, &caller.origin, entry.with("role", name)).await?;
    Ok((scope, who))
}

/// Leaves an organisation, with every role in it and in its projects.
///
/// # Errors
/// `not_found`, `forbidden`, `insufficient_scope`, `last_owner`; `conflict` for who has no role in it.
pub async fn leave_org(tx: &WriteTx, caller: &Caller, org: &str) -> Result<()> {
    leave(tx, caller, &[org]).await
}

/// Leaves a project.
///
/// # Errors
/// Like [`leave_org`]; `conflict` when the caller is in it by a role in the organisation.
pub async fn leave_project(tx: &WriteTx, caller: &Caller, org: &str, project: &str) -> Result<()> {
    leave(tx, caller, &[org, project]).await
}

async fn leave(tx: &WriteTx, caller: &Caller, path: &[&str]) -> Result<()> {
    let door = locked(tx, caller, path).await?;
    if !door.is_visible() {
        return Err(Problem::not_found().into());
    }
    let user = door.person(caller)?;
    door.require_wide_token()?;
    let (scope, who) = (scope_of(&door), Principal::User(user));
    let held = membership::held(tx, scope.org, who).await?;
    // Who is in projects alone leaves the organisation by leaving them all.
    if !held
        .iter()
        .any(|held| scope.project.is_none() || held.at == scope.project)
    {
        let detail = match scope.project {
            None => "You have no role in it to give up.",
            Some(_) => "You see this project by your role in the organisation. Leave that, or ask for another role.",
        };
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    if scope.project.is_none() {
        ownership::require_other_owner(tx, scope.org, user).await?;
    }
    membership::remove(tx, scope, who).await?;
    let entry = Entry {
        project: scope.project,
        ..Entry::in_org(scope.org, Action::MemberLeft, subject::target(who))
    };
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}
