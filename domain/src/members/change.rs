//! Adding, changing and removing members. What each rule asks besides the permission: nobody gives more than they
//! hold, nobody touches somebody who holds more, and an owner remains.

use super::assignment::{Assignment, RoleRequest};
use super::membership::{self, HeldRole, Scope};
use super::ownership;
use super::place::{self, Place};
use super::subject::{self, Named};
use crate::access::grant::{MembersInvite, MembersRemove, MembersSetRole};
use crate::access::permission::{Grant, Reach};
use crate::access::{Caller, GrantSet, Permission, Principal};
use crate::journal::{self, Action, Entry};
use crate::kernel::{Error, Problem, ProblemCode, Result, WriteTx};
use crate::limits::{self, LimitKey};
use crate::policy::assignable;

/// What became of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nobody held it before.
    Made,
    Changed,
    /// It was so already; the journal has no row of it.
    Same,
}

/// The event, with what was given.
fn entry(scope: Scope, action: Action, who: Principal, given: &Assignment) -> Entry {
    let mut entry = bare_entry(scope, action, who).with("role", given.role.name.clone());
    if let Some(classes) = given.env_classes {
        entry = entry.with("env_classes", classes.to_string());
    }
    match given.expires_at {
        None => entry,
        Some(end) => entry.with("expires_at", end.to_string()),
    }
}

fn bare_entry(scope: Scope, action: Action, who: Principal) -> Entry {
    Entry {
        project: scope.project,
        ..Entry::in_org(scope.org, action, subject::target(who))
    }
}

/// What somebody holds in a place, as far as it matters there: in a project also by a role in the organisation, but
/// only what acts in projects; in the organisation also by roles in its projects.
fn holdings(held: &[HeldRole], scope: Scope) -> GrantSet {
    let here = |held: &&HeldRole| scope.project.is_none() || held.at.is_none() || held.at == scope.project;
    let matters = |grant: &Grant| scope.project.is_none() || grant.permission().reach() >= Reach::Project;
    let grants = held.iter().filter(here).map(|held| held.assignment().grants());
    let all = grants.fold(GrantSet::EMPTY, |all, grants| all.union(&grants));
    all.iter().filter(matters).collect()
}

/// The roles of the place among all that somebody holds.
fn at(held: &[HeldRole], scope: Scope) -> impl Iterator<Item = &HeldRole> {
    held.iter().filter(move |held| held.at == scope.project)
}

/// Asks for another owner when this change takes the ownership away, or lets it end.
async fn keep_an_owner(tx: &WriteTx, scope: Scope, who: Principal) -> Result<()> {
    match (scope.project, who) {
        (None, Principal::User(user)) => ownership::require_other_owner(tx, scope.org, user).await,
        (Some(_), _) | (None, Principal::ServiceAccount(_)) => Ok(()),
    }
}

/// Adds somebody who has an account, with one role. Somebody who is a member already gets the role instead of theirs,
/// which is a change of roles.
///
/// # Errors
/// `invalid_field`, `forbidden`, `last_owner`.
pub async fn add<P: Place<Proof = MembersInvite>>(
    tx: &WriteTx,
    caller: &Caller,
    place: P,
    who: &Named,
    role: RoleRequest,
) -> Result<(Principal, Change)> {
    let place = place::locked(tx, caller, place).await?;
    let scope = place.scope();
    let who = who.find(tx, scope).await?;
    let given = role.check(tx, scope).await?;
    given.require_may_give(tx, caller, &place)?;
    let held = membership::held(tx, scope.org, who).await?;
    if at(&held, scope).any(|held| held.assignment() == given) {
        return Ok((who, Change::Same));
    }
    if at(&held, scope).next().is_some() {
        place.require(Permission::MembersSetRole)?;
        replace(tx, caller, &place, who, &held, &given).await?;
        return Ok((who, Change::Changed));
    }
    let seats = limits::hold(tx, scope.org, LimitKey::Members).await?;
    membership::put(tx, scope, who, &given, caller.actor.principal).await?;
    seats.settle(tx).await?;
    journal::record(tx, &caller.origin, entry(scope, Action::MemberAdded, who, &given)).await?;
    Ok((who, Change::Made))
}

async fn replace(
    tx: &WriteTx,
    caller: &Caller,
    place: &impl Place,
    who: Principal,
    held: &[HeldRole],
    given: &Assignment,
) -> Result<()> {
    let scope = place.scope();
    place.require_rank(&holdings(held, scope))?;
    if !given.role.is_owner() || given.expires_at.is_some() {
        keep_an_owner(tx, scope, who).await?;
    }
    membership::put(tx, scope, who, given, caller.actor.principal).await?;
    membership::remove_other_roles(tx, scope, who, given.role.id).await?;
    journal::record(tx, &caller.origin, entry(scope, Action::MemberUpdated, who, given)).await?;
    Ok(())
}

/// The member that a path names, with all that they hold in the organisation.
async fn named(tx: &WriteTx, scope: Scope, member: &str) -> Result<(Principal, Vec<HeldRole>)> {
    let who = subject::parse(member).ok_or_else(Problem::not_found)?;
    let held = membership::held(tx, scope.org, who).await?;
    Ok((who, held))
}

/// Gives a member one role instead of all that they have.
///
/// # Errors
/// `not_found`, `invalid_field`, `forbidden`, `last_owner`.
pub async fn update<P: Place<Proof = MembersSetRole>>(
    tx: &WriteTx,
    caller: &Caller,
    place: P,
    member: &str,
    role: RoleRequest,
) -> Result<Principal> {
    let place = place::locked(tx, caller, place).await?;
    let (who, held) = named(tx, place.scope(), member).await?;
    if at(&held, place.scope()).next().is_none() {
        return Err(Problem::not_found().into());
    }
    let given = role.check(tx, place.scope()).await?;
    given.require_may_give(tx, caller, &place)?;
    replace(tx, caller, &place, who, &held, &given).await?;
    Ok(who)
}

/// Removes somebody from the organisation with all that they have in it, or from one project.
///
/// # Errors
/// `not_found`, `forbidden`, `last_owner`.
pub async fn remove<P: Place<Proof = MembersRemove>>(
    tx: &WriteTx,
    caller: &Caller,
    place: P,
    member: &str,
) -> Result<()> {
    let place = place::locked(tx, caller, place).await?;
    let scope = place.scope();
    let (who, held) = named(tx, scope, member).await?;
    // Somebody who is in projects alone can be removed from the organisation too.
    if held.is_empty() || (scope.project.is_some() && at(&held, scope).next().is_none()) {
        return Err(Problem::not_found().into());
    }
    place.require_rank(&holdings(&held, scope))?;
    keep_an_owner(tx, scope, who).await?;
    membership::remove(tx, scope, who).await?;
    journal::record(tx, &caller.origin, bare_entry(scope, Action::MemberRemoved, who)).await?;
    Ok(())
}

/// Gives a member one more role, or changes how they hold it. A service account may get its first role so.
///
/// # Errors
/// `not_found`, `invalid_field`, `forbidden`, `last_owner`.
pub async fn add_role<P: Place<Proof = MembersSetRole>>(
    tx: &WriteTx,
    caller: &Caller,
    place: P,
    member: &str,
    role: RoleRequest,
) -> Result<(Principal, Change)> {
    let place = place::locked(tx, caller, place).await?;
    let scope = place.scope();
    let (who, held) = named(tx, scope, member).await?;
    let can_hold = match who {
        Principal::User(_) => at(&held, scope).next().is_some(),
        Principal::ServiceAccount(account) => subject::is_service_account(tx, scope, account).await?,
    };
    if !can_hold {
        return Err(Problem::not_found().into());
    }
    let given = role.check(tx, scope).await?;
    given.require_may_give(tx, caller, &place)?;
    place.require_rank(&holdings(&held, scope))?;
    if given.role.is_owner() && given.expires_at.is_some() {
        keep_an_owner(tx, scope, who).await?;
    }
    let change = match at(&held, scope).find(|held| held.role.id == given.role.id) {
        None => Change::Made,
        Some(held) if held.assignment() == given => return Ok((who, Change::Same)),
        Some(_) => Change::Changed,
    };
    membership::put(tx, scope, who, &given, caller.actor.principal).await?;
    journal::record(tx, &caller.origin, entry(scope, Action::MemberUpdated, who, &given)).await?;
    Ok((who, change))
}

/// Takes one of several roles from a member.
///
/// # Errors
/// `not_found`, `forbidden`, `last_owner`; `conflict` when it is the member's only one.
pub async fn remove_role<P: Place<Proof = MembersSetRole>>(
    tx: &WriteTx,
    caller: &Caller,
    place: P,
    member: &str,
    role: &str,
) -> Result<()> {
    let place = place::locked(tx, caller, place).await?;
    let scope = place.scope();
    let (who, held) = named(tx, scope, member).await?;
    let role = assignable::find(tx, scope.org, scope.level(), role).await?;
    let role = role.ok_or_else(Problem::not_found)?;
    if !at(&held, scope).any(|held| held.role.id == role.id) {
        return Err(Problem::not_found().into());
    }
    place.require_rank(&holdings(&held, scope))?;
    if role.is_owner() {
        keep_an_owner(tx, scope, who).await?;
    }
    if at(&held, scope).count() == 1 {
        return Err(only_role());
    }
    membership::remove_role(tx, scope, who, role.id).await?;
    let entry = bare_entry(scope, Action::MemberUpdated, who).with("removed_role", role.name);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

fn only_role() -> Error {
    let detail = "It is the member's only role here. Remove the member, or give another role first.";
    Problem::new(ProblemCode::Conflict, detail).into()
}
