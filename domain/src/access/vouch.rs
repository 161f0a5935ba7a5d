//! What somebody who is not the caller may give now: a promise is worth what whoever made it holds when it is kept.

use super::decide::decide;
use super::facts::{Actor, Principal, ProjectRef, Resource};
use super::held::Held;
use super::load::{Loaded, ProjectRow, load};
use super::permission::{GrantSet, Permission};
use crate::kernel::id::{OrgId, ProjectId};
use crate::kernel::{Reads, Result};

/// Whether somebody has all of `permissions` in an organisation, or in one of its projects, and holds all of `grants`
/// there. Nobody does where organisation or project is gone. Ask besides whether their account is in order.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn may_give(
    from: &impl Reads,
    who: Principal,
    (org, project): (OrgId, Option<ProjectId>),
    permissions: &[Permission],
    grants: &GrantSet,
) -> Result<bool> {
    let path: Vec<String> = [Some(org.to_string()), project.map(|id| id.to_string())]
        .into_iter()
        .flatten()
        .collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let Some(loaded) = load(from, who, &path, false).await? else {
        return Ok(false);
    };
    let Loaded {
        org,
        project: found,
        env: _,
        other: _,
        facts,
        epoch: _,
    } = loaded;
    let resource = match (project, &found) {
        (None, _) => Resource::org(org.id),
        (Some(_), Some(ProjectRow { id, slug })) => Resource::project(org.id, ProjectRef { id: *id, slug }),
        (Some(_), None) => return Ok(false),
    };
    let held = Held {
        actor: Actor::unlimited(who),
        facts,
        now: from.now(),
        // What the organisation asks of people who act in it: somebody who vouches does not act.
        lacks_second_factor: false,
    };
    let is_allowed = |permission: &Permission| decide(&held.actor, *permission, &resource, &held.facts, held.now).allow;
    Ok(permissions.iter().all(is_allowed) && held.lacking(project, grants).is_none())
}
