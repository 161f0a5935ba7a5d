//! Inviting: to an address, by a mail, or anybody who is given a link. Nobody invites to more than they hold, and
//! whoever made an invitation or sent it again last stands behind it until it is accepted.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};

use super::assignment::{Assignment, RoleRequest};
use super::entity::invite as entity;
use super::invite::{self, Invite, InviteStatus};
use super::invite_mail;
use super::invite_token::{self, Drawn};
use super::membership::{self, Scope};
use super::place::{self, Place};
use crate::access::grant::{self, MembersInvite};
use crate::access::role::RoleLevel;
use crate::access::{BuiltinRole, Caller, EnvClass, OrgAccess, Permission, Principal, ProjectAccess};
use crate::auth::recipient;
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{InviteId, UserId};
use crate::kernel::text::{self, Email};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx};
use crate::limits::{self, LimitKey};
use crate::realms::{invitation, realm};

const HOUR: u64 = 3600;
/// Longest life of an invitation, hours: thirty days.
pub const MAX_HOURS: i64 = 720;
/// Life of an invitation that says nothing, hours: a week.
const DEFAULT_HOURS: u64 = 168;
/// Uses of one open link at most.
pub const MAX_USES: i64 = 1000;

/// An invitation to be made.
#[derive(Clone, Debug, Default)]
pub struct NewInvite {
    /// `None` = an open link.
    pub email: Option<String>,
    /// Name or id; `None` = member of an organisation, developer of a project.
    pub role: Option<String>,
    pub env_classes: Option<Vec<EnvClass>>,
    /// Whoever accepts becomes a user of the organisation's realm and not a member.
    pub for_realm: bool,
    pub expires_in_hours: Option<i64>,
    pub max_uses: Option<i64>,
}

/// An invitation with its token, shown this once.
pub struct Issued {
    pub invite: Invite,
    pub token: Token,
}

/// The person who invites. Machines come and go; behind an invitation stands somebody who can be asked.
fn person(caller: &Caller) -> Result<UserId> {
    match caller.actor.principal {
        Principal::User(user) => Ok(user),
        Principal::ServiceAccount(_) => {
            Err(Problem::forbidden("An invitation comes from a person. A service account cannot invite.").into())
        }
    }
}

/// The project that an invitation of the organisation names.
///
/// # Errors
/// `invalid_field` naming `project`; whatever else the question can be answered with.
pub async fn in_project(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<MembersInvite>,
    reference: &str,
) -> Result<ProjectAccess<MembersInvite>> {
    let found = grant::project(tx, caller, &access.org.id.to_string(), reference).await;
    found.map_err(|error| match error.code() {
        Some(ProblemCode::NotFound) => {
            Problem::field("project", "unknown", "is no project of this organisation").into()
        }
        Some(_) | None => error,
    })
}

/// Invites somebody to a place; to an address by a mail.
///
/// # Errors
/// `invalid_field`; `forbidden` for a role above the caller's own, and for a service account; `step_up_required` for a
/// new owner; `already_member`, `already_invited`; `rate_limited` for the fourth mail to an address within an hour;
/// `plan_limit_exceeded`: who is invited counts as a member.
pub async fn create<P: Place<Proof = MembersInvite>>(
    tx: &WriteTx,
    macs: &TokenMacKey,
    caller: &Caller,
    place: P,
    new: NewInvite,
) -> Result<Issued> {
    let inviter = person(caller)?;
    let place = place::locked(tx, caller, place).await?;
    let scope = place.scope();
    let NewInvite {
        email,
        role,
        env_classes,
        for_realm,
        expires_in_hours,
        max_uses,
    } = new;
    let email = email.map(|email| text::email("email", &email)).transpose()?;
    let max_uses = uses(email.as_ref(), max_uses)?;
    let expires_at = tx.now() + lifetime(expires_in_hours)?;
    if for_realm {
        require_realm(tx, scope, role.as_deref()).await?;
    }
    let request = RoleRequest {
        role: role.unwrap_or_else(|| default_role(scope).name.to_owned()),
        env_classes,
        expires_at: None,
    };
    let given = request.check(tx, scope).await?;
    require_fitting(email.as_ref(), &given)?;
    require_may_offer(tx, caller, &place, for_realm, &given)?;
    if let Some(email) = &email {
        require_newcomer(tx, scope, for_realm, &email.canonical, None).await?;
    }
    let seats = limits::hold(tx, scope.org, LimitKey::Members).await?;
    let id: InviteId = tx.new_id()?;
    let drawn = draw(tx, macs, id, email.is_some())?;
    let row = entity::ActiveModel {
        id: Set(id),
        org_id: Set(scope.org),
        project_id: Set(scope.project),
        scope_id: Set(scope.id()),
        address: Set(email.as_ref().map(|email| email.display.clone())),
        canonical: Set(email.as_ref().map(|email| email.canonical.clone())),
        role_id: Set(given.role.id),
        env_classes: Set(given.env_classes.map(|classes| classes.to_string())),
        for_realm: Set(for_realm),
        token_mac: Set(macs.mac(&drawn.shown).to_vec()),
        max_uses: Set(max_uses),
        uses: Set(0),
        invited_by: Set(inviter),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        expires_at: Set(expires_at),
        revoked_at: Set(None),
    };
    entity::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    seats.settle(tx).await?;
    issue(tx, caller, scope, id, drawn, Action::InviteCreated).await
}

/// Users of a realm hold roles of the application, in the organisation, and only where there is a realm.
async fn require_realm(tx: &WriteTx, scope: Scope, role: Option<&str>) -> Result<()> {
    if scope.project.is_some() {
        return Err(Problem::field("project", "conflict", "must be absent: a realm is the organisation's").into());
    }
    if realm::find(tx, scope.org).await?.is_none() {
        let detail = "The organisation has no users of its own. Set its `realm_enabled` first.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    if role.is_none() {
        return Err(Problem::field("role", "required", "must be a role of your application").into());
    }
    Ok(())
}

/// Nobody invites to more than they hold. What the application's roles mean here is nothing, so that giving them to a user
/// of the realm takes no more than managing those.
fn require_may_offer<P: Place<Proof = MembersInvite>>(
    tx: &WriteTx,
    caller: &Caller,
    place: &P,
    for_realm: bool,
    given: &Assignment,
) -> Result<()> {
    if !for_realm {
        return given.require_may_give(tx, caller, place);
    }
    if !given.role.is_app {
        let message = "must be a role of your application: one of the organisation's with `audience: app`";
        return Err(Problem::field("role", "conflict", message).into());
    }
    place.require(Permission::UsersManage)
}

fn draw(tx: &WriteTx, macs: &TokenMacKey, id: InviteId, is_mailed: bool) -> Result<Drawn> {
    if is_mailed {
        invite_token::to_address(tx, macs, id)
    } else {
        invite_token::open_link(tx)
    }
}

/// Queues the mail of an invitation that stands as it is to be, and journals what was done to it.
async fn issue(
    tx: &WriteTx,
    caller: &Caller,
    scope: Scope,
    id: InviteId,
    drawn: Drawn,
    action: Action,
) -> Result<Issued> {
    let invite = invite::find(tx, scope, &id.to_string()).await?;
    let Drawn { shown, number } = drawn;
    if let (Some(address), Some(number)) = (&invite.email, number) {
        invite_mail::queue(tx, id, address, number).await?;
    }
    journal::record(tx, &caller.origin, entry(&invite, action)).await?;
    Ok(Issued { invite, token: shown })
}

/// The event, with what was offered to whom.
pub(super) fn entry(invite: &Invite, action: Action) -> Entry {
    let mut entry = Entry {
        project: invite.scope().project,
        ..Entry::in_org(invite.org.id, action, Target::Invite(invite.id))
    };
    if let Some(email) = &invite.email {
        entry = entry.with("email", email.clone());
    }
    if let Some(classes) = invite.env_classes {
        entry = entry.with("env_classes", classes.to_string());
    }
    entry
        .with("role", invite.role_name())
        .with("max_uses", invite.max_uses)
        .with("expires_at", invite.expires_at.to_string())
}

fn default_role(scope: Scope) -> &'static BuiltinRole {
    match scope.level() {
        RoleLevel::Org => &BuiltinRole::ORG_MEMBER,
        RoleLevel::Project => &BuiltinRole::PROJECT_DEVELOPER,
    }
}

fn lifetime(hours: Option<i64>) -> Result<Duration> {
    let hours = match hours.map(u64::try_from) {
        None => DEFAULT_HOURS,
        Some(Ok(hours @ 1..=720)) => hours,
        Some(_) => {
            let message = format!("must be between 1 and {MAX_HOURS}");
            return Err(Problem::field("expires_in_hours", "range", message).into());
        }
    };
    Ok(Duration::from_secs(hours * HOUR))
}

/// How often it can be accepted. An address is one person.
fn uses(email: Option<&Email>, wanted: Option<i64>) -> Result<i32> {
    match (email, wanted.map(i32::try_from)) {
        (_, None | Some(Ok(1))) => Ok(1),
        (None, Some(Ok(uses @ 1..=1000))) => Ok(uses),
        (None, Some(_)) => {
            let message = format!("must be between 1 and {MAX_USES}");
            Err(Problem::field("max_uses", "range", message).into())
        }
        (Some(_), Some(_)) => {
            Err(Problem::field("max_uses", "conflict", "must be 1 for an invitation to an address").into())
        }
    }
}

/// A link goes from hand to hand; who becomes an owner by it nobody knows beforehand.
fn require_fitting(email: Option<&Email>, given: &Assignment) -> Result<()> {
    if email.is_none() && given.role.is_owner() {
        let message = "must not be owner for an open link; invite the address of whoever is to be one";
        return Err(Problem::field("role", "conflict", message).into());
    }
    Ok(())
}

/// Asks that nobody of this address is in the place, or invited to it, and that it was not written to too often.
async fn require_newcomer(
    tx: &WriteTx,
    scope: Scope,
    for_realm: bool,
    canonical: &str,
    but: Option<InviteId>,
) -> Result<()> {
    let owner = if for_realm {
        if invitation::is_user(tx, scope.org, canonical).await? {
            let detail = "A user of the realm has this address already.";
            return Err(Problem::new(ProblemCode::AlreadyMember, detail).into());
        }
        None
    } else {
        recipient::owner_of(tx, canonical).await?
    };
    if let Some(owner) = owner.filter(|owner| owner.verified_at.is_some()) {
        let held = membership::held(tx, scope.org, Principal::User(owner.user)).await?;
        if held.iter().any(|held| held.at == scope.project) {
            let detail = "Whoever has this address is a member already.";
            return Err(Problem::new(ProblemCode::AlreadyMember, detail).into());
        }
    }
    if invite::is_out(tx, scope, for_realm, canonical, but).await? {
        let detail = "An invitation to this address is out already. Send it again, or revoke it first.";
        return Err(Problem::new(ProblemCode::AlreadyInvited, detail).into());
    }
    invite_mail::require_few(tx, scope, canonical).await
}

/// Invites again, for as long as before: with new tokens, the old ones stop working, and by a new mail if there is an
/// address. From now on the caller stands behind it, so what it gives must be the caller's to give.
///
/// # Errors
/// `not_found`; `invite_unusable` when it was accepted or revoked; `already_member`, `already_invited`; and what
/// [`create`] fails with.
pub async fn resend<P: Place<Proof = MembersInvite>>(
    tx: &WriteTx,
    macs: &TokenMacKey,
    caller: &Caller,
    place: P,
    id: &str,
) -> Result<Issued> {
    let inviter = person(caller)?;
    let place = place::locked(tx, caller, place).await?;
    let found = invite::find(tx, place.scope(), id).await?;
    require_waiting(&found)?;
    let given = found.gives().ok_or_else(revoked)?;
    let scope = found.scope();
    if scope == place.scope() {
        require_may_offer(tx, caller, &place, found.for_realm, &given)?;
    } else {
        // Seen from the organisation, and to one of its projects: what is given there counts.
        let (org, project) = (found.org.id.to_string(), found.project.as_ref());
        let project = project.ok_or_else(Problem::not_found)?.id.to_string();
        let inner: ProjectAccess<MembersInvite> = grant::project(tx, caller, &org, &project).await?;
        given.require_may_give(tx, caller, &inner)?;
    }
    if let Some(canonical) = &found.canonical {
        require_newcomer(tx, scope, found.for_realm, canonical, Some(found.id)).await?;
    }
    // One that had ended takes a seat again.
    let seats = limits::hold(tx, scope.org, LimitKey::Members).await?;
    let drawn = draw(tx, macs, found.id, found.email.is_some())?;
    let sql = "UPDATE invites SET token_mac = $2, invited_by = $3, updated_at = $4, expires_at = $5 WHERE id = $1";
    let values = [
        found.id.into(),
        macs.mac(&drawn.shown).to_vec().into(),
        inviter.into(),
        tx.now().into(),
        (tx.now() + found.expires_at.since(found.given_at)).into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    seats.settle(tx).await?;
    issue(tx, caller, scope, found.id, drawn, Action::InviteResent).await
}

fn revoked() -> Error {
    let detail = "The invitation was revoked. Make a new one.";
    Problem::new(ProblemCode::InviteUnusable, detail).into()
}

/// Asks that it was neither accepted nor revoked.
fn require_waiting(invite: &Invite) -> Result<()> {
    match invite.status {
        InviteStatus::Pending | InviteStatus::Expired => Ok(()),
        InviteStatus::Revoked => Err(revoked()),
        InviteStatus::Accepted => {
            let detail = "The invitation was accepted. Whoever accepted it is a member now.";
            Err(Problem::new(ProblemCode::InviteUnusable, detail).into())
        }
    }
}

/// Takes an invitation back: its tokens stop working.
///
/// # Errors
/// `not_found`; `invite_unusable` when it was accepted or revoked.
pub async fn revoke<P: Place<Proof = MembersInvite>>(tx: &WriteTx, caller: &Caller, place: P, id: &str) -> Result<()> {
    let place = place::locked(tx, caller, place).await?;
    let found = invite::find(tx, place.scope(), id).await?;
    require_waiting(&found)?;
    let sql = "UPDATE invites SET revoked_at = $2, updated_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [found.id.into(), tx.now().into()]))
        .await?;
    journal::record(tx, &caller.origin, entry(&found, Action::InviteRevoked)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field<T>(result: Result<T>) -> Option<String> {
        let problem = result.err()?.into_problem();
        problem.errors.first().map(|error| error.field.to_string())
    }

    #[test]
    fn a_week_unless_it_is_said_and_a_month_at_most() {
        assert_eq!(lifetime(None).unwrap(), Duration::from_hours(168));
        assert_eq!(lifetime(Some(1)).unwrap(), Duration::from_hours(1));
        assert_eq!(lifetime(Some(MAX_HOURS)).unwrap(), Duration::from_hours(720));
        for hours in [0, -1, 721, i64::MIN, i64::MAX] {
            assert_eq!(field(lifetime(Some(hours))).as_deref(), Some("expires_in_hours"));
        }
    }

    #[test]
    fn an_address_is_one_person_and_a_link_a_thousand_at_most() {
        let email = text::email("email", "dana@example.com").unwrap();
        assert_eq!(uses(None, None).unwrap(), 1);
        assert_eq!(uses(None, Some(MAX_USES)).unwrap(), 1000);
        assert_eq!(uses(Some(&email), Some(1)).unwrap(), 1);
        for wanted in [0, -1, 1001, i64::MIN, i64::MAX] {
            assert_eq!(field(uses(None, Some(wanted))).as_deref(), Some("max_uses"));
            assert_eq!(field(uses(Some(&email), Some(wanted))).as_deref(), Some("max_uses"));
        }
        assert_eq!(field(uses(Some(&email), Some(2))).as_deref(), Some("max_uses"));
    }
}
