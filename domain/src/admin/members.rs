//! Members of any project, as superusers see and change them: by the same rules as its own people, but for those about who
//! may do what to whom.

use crate::access::grant::{MembersInvite, MembersRemove, MembersSetRole};
use crate::access::{OverseenProject, Principal, Superuser};
use crate::kernel::{Problem, Result, WriteTx};
use crate::members::assignment::RoleRequest;
use crate::members::change::{self, Change};
use crate::members::place::Place;
use crate::members::subject::{self, Named};

/// Whoever looks after the instance sees no values. They do not let themselves in.
fn require_somebody_else(superuser: &Superuser, who: Option<Principal>) -> Result<()> {
    if who == Some(Principal::User(superuser.user())) {
        let detail = "A superuser gives no role to themselves. Ask an owner of the organisation.";
        return Err(Problem::forbidden(detail).into());
    }
    Ok(())
}

/// Adds somebody who has an account, with one role, or gives a member this role instead of theirs.
///
/// # Errors
/// `invalid_field`; `forbidden` for oneself; `step_up_required` for a new owner.
pub async fn add(
    tx: &WriteTx,
    superuser: &Superuser,
    project: OverseenProject<MembersInvite>,
    who: &Named,
    role: RoleRequest,
) -> Result<(Principal, Change)> {
    let found = who.find(tx, project.scope()).await?;
    require_somebody_else(superuser, Some(found))?;
    change::add(tx, superuser.caller(), project, who, role).await
}

/// Gives a member one role instead of all that they have in the project.
///
/// # Errors
/// `not_found`, `invalid_field`; `forbidden` for oneself; `step_up_required` for a new owner.
pub async fn update(
    tx: &WriteTx,
    superuser: &Superuser,
    project: OverseenProject<MembersSetRole>,
    member: &str,
    role: RoleRequest,
) -> Result<Principal> {
    require_somebody_else(superuser, subject::parse(member))?;
    change::update(tx, superuser.caller(), project, member, role).await
}

/// Removes somebody from the project.
///
/// # Errors
/// `not_found`.
pub async fn remove(
    tx: &WriteTx,
    superuser: &Superuser,
    project: OverseenProject<MembersRemove>,
    member: &str,
) -> Result<()> {
    change::remove(tx, superuser.caller(), project, member).await
}
