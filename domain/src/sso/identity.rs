//! Which account belongs to whom a provider names.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder};

use super::entity::identity;
use super::person::Person;
use super::provider::{Place, Provider};
use crate::access::Caller;
use crate::access::grant;
use crate::auth::{account, recipient, sessions};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{SsoIdentityId, UserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::text::Email;
use crate::kernel::{Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// What would come of a sign-in.
#[derive(Debug)]
pub enum Verdict {
    /// The identity belongs to an account.
    Known(UserId),
    /// It will be joined with an account that is there.
    Joins(UserId),
    /// An account will be made.
    Makes(Email),
    /// Nobody is let in.
    Refused(Problem),
}

impl Verdict {
    /// The verdict as published: `known`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Known(_) => "known",
            Self::Joins(_) => "joins",
            Self::Makes(_) => "makes",
            Self::Refused(_) => "refused",
        }
    }
}

fn refused(reason: &'static str, detail: &'static str) -> Verdict {
    Verdict::Refused(Problem::forbidden(detail).with("reason", reason))
}

#[derive(FromQueryResult)]
struct Owner {
    user_id: UserId,
}

/// The account that an identity belongs to.
async fn owner(from: &impl Reads, place: Place, person: &Person) -> Result<Option<UserId>> {
    let sql = "SELECT user_id FROM sso_identities WHERE provider_id = $1 AND issuer = $2 AND subject = $3";
    let values = [
        place.id().into(),
        person.issuer.clone().into(),
        person.subject.clone().into(),
    ];
    let found = Owner::find_by_statement(from.sql(sql, values)).one(from.conn()).await?;
    Ok(found.map(|owner| owner.user_id))
}

/// What would come of a sign-in of this person.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn verdict(from: &impl Reads, provider: &Provider, person: &Person) -> Result<Verdict> {
    let domains = &provider.allowed_domains;
    let is_allowed = |domain: &str| domains.iter().any(|allowed| allowed == domain);
    if !domains.is_empty() && !person.verified_domain().is_some_and(is_allowed) {
        return Ok(refused(
            "domain_not_allowed",
            "Only people with a verified address of certain domains may sign in this way.",
        ));
    }
    if let Some(user) = owner(from, provider.place, person).await? {
        return Ok(Verdict::Known(user));
    }
    let Some(email) = person.email.as_ref().filter(|_| person.email_verified) else {
        let detail = "The identity provider does not say that it has verified your address.";
        return Ok(Verdict::Refused(Problem::new(ProblemCode::EmailUnverified, detail)));
    };
    match recipient::owner_of(from, &email.canonical).await? {
        None if provider.create_unknown_user => Ok(Verdict::Makes(email.clone())),
        None => Ok(refused(
            "unknown_user",
            "There is no account for you here. Ask for an invitation.",
        )),
        Some(there) => of_account(from, provider, there.user, there.verified_at).await,
    }
}

/// What would come of it when an account has the address. An organisation's provider is taken at its word by nobody else,
/// so it joins with no account; that of the instance joins where no password would be passed by. Its person can always
/// join the two themselves, signed in.
async fn of_account(
    from: &impl Reads,
    provider: &Provider,
    user: UserId,
    verified_at: Option<Timestamp>,
) -> Result<Verdict> {
    if verified_at.is_none() {
        let detail =
            "An account has this address and never proved it. Sign in there by a mailed code, which proves it.";
        return Ok(Verdict::Refused(Problem::new(ProblemCode::EmailUnverified, detail)));
    }
    let account = account::get(from, user).await?;
    if provider.vouches_for_mail() && !account.has_password() {
        return Ok(Verdict::Joins(user));
    }
    Ok(refused(
        "link_required",
        "An account has this address. Sign in to it in your usual way, and join the two from there.",
    ))
}

/// Joins an identity with an account; the caller journals.
///
/// # Errors
/// `conflict` when somebody else has joined it meanwhile.
pub(super) async fn insert(tx: &WriteTx, place: Place, person: &Person, user: UserId) -> Result<SsoIdentityId> {
    let row = identity::ActiveModel {
        id: Set(tx.new_id()?),
        provider_id: Set(place.id()),
        issuer: Set(person.issuer.clone()),
        subject: Set(person.subject.clone()),
        user_id: Set(user),
        email: Set(person.email.as_ref().map(|email| email.display.clone())),
        created_at: Set(tx.now()),
        last_used_at: Set(tx.now()),
    };
    let inserted = identity::Entity::insert(row).exec_with_returning(tx.conn()).await;
    let row = inserted.map_err(|error| match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => taken(),
        _ => error.into(),
    })?;
    Ok(row.id)
}

fn taken() -> crate::kernel::Error {
    let detail = "This identity belongs to another account. Sign in with it there, and take it away first.";
    Problem::new(ProblemCode::Conflict, detail).into()
}

/// Notes that an identity was used. Whoever takes it away waits, or was first.
///
/// # Errors
/// `forbidden` when it was taken away meanwhile.
pub(super) async fn touch(tx: &WriteTx, place: Place, person: &Person) -> Result<()> {
    let sql = "UPDATE sso_identities SET last_used_at = $4 WHERE provider_id = $1 AND issuer = $2 AND subject = $3";
    let values = [
        place.id().into(),
        person.issuer.clone().into(),
        person.subject.clone().into(),
        tx.now().into(),
    ];
    let touched = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    if touched.rows_affected() == 0 {
        return Err(super::refusal::lost().into());
    }
    Ok(())
}

/// Joins an identity with the account of the signed-in person who went to the provider for it.
///
/// # Errors
/// `forbidden` for another person than the one who began, when their session has ended, and when the provider was set up
/// differently meanwhile; `conflict` when the identity belongs to another account, or to this one already.
pub async fn link(tx: &WriteTx, caller: &Caller, provider: &Provider, person: &Person, begun_by: UserId) -> Result<()> {
    let user = caller.session_user()?;
    if user != begun_by {
        return Err(super::refusal::lost().into());
    }
    let held = sessions::hold(tx, caller).await;
    let caller = &held.map_err(|error| match error.code() {
        Some(ProblemCode::Unauthenticated) => super::refusal::lost().into(),
        Some(_) | None => error,
    })?;
    super::provider::require_unchanged(tx, provider).await?;
    match owner(tx, provider.place, person).await? {
        None => {}
        Some(owner) if owner == user => {
            let detail = "This identity is joined with your account already.";
            return Err(Problem::new(ProblemCode::Conflict, detail).into());
        }
        Some(_) => return Err(taken()),
    }
    let id = insert(tx, provider.place, person, user).await?;
    let entry = entry(user, Action::UserIdentityLinked, id).with("provider", provider.place.name());
    journal::record(tx, &caller.origin, entry.with("issuer", person.issuer.clone())).await?;
    Ok(())
}

fn entry(user: UserId, action: Action, id: SsoIdentityId) -> Entry {
    Entry::of_account(user, action, Target::SsoIdentity(id))
}

/// An identity of the caller's.
#[derive(Clone, Debug)]
pub struct Own {
    pub id: SsoIdentityId,
    pub place: Place,
    pub issuer: String,
    pub email: Option<String>,
    pub created_at: Timestamp,
    pub last_used_at: Timestamp,
}

/// The identities that sign in to the caller's account, oldest first.
///
/// # Errors
/// `session_required` for an API token.
pub async fn list(from: &impl Reads, caller: &Caller, page: PageRequest) -> Result<Page<Own>> {
    let user = caller.session_user()?;
    let rows = identity::Entity::find()
        .filter(identity::Column::UserId.eq(user))
        .order_by_asc(identity::Column::CreatedAt)
        .order_by_asc(identity::Column::Id)
        .all(from.conn())
        .await?;
    let own = |row: identity::Model| Own {
        id: row.id,
        place: Place::of_id(row.provider_id),
        issuer: row.issuer,
        email: row.email,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
    };
    Ok(Page::of(rows.into_iter().map(own).collect(), page))
}

/// Takes an identity away from the caller's account: it signs in no more. Sessions go on.
///
/// # Errors
/// `not_found`; `step_up_required`.
pub async fn unlink(tx: &WriteTx, caller: &Caller, id: &str) -> Result<()> {
    grant::require_recent_sign_in(tx, caller)?;
    let user = caller.session_user()?;
    let id: SsoIdentityId = id.parse().map_err(|_| Problem::not_found())?;
    let sql = "DELETE FROM sso_identities WHERE id = $1 AND user_id = $2";
    let deleted = tx.conn().execute_raw(tx.sql(sql, [id.into(), user.into()])).await?;
    if deleted.rows_affected() == 0 {
        return Err(Problem::not_found().into());
    }
    journal::record(tx, &caller.origin, entry(user, Action::UserIdentityUnlinked, id)).await?;
    Ok(())
}
