//! Accounts, as superusers see and change them.

use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use crate::access::Superuser;
use crate::access::grant::require_recent_sign_in;
use crate::auth::{deletion, superusers};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::UserId;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Problem, ProblemCode, Reads, Result, Timestamp, WriteTx, text};

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct User {
    pub id: UserId,
    /// The default address.
    pub email: String,
    pub email_verified_at: Option<Timestamp>,
    pub first_name: String,
    pub last_name: String,
    pub username: Option<String>,
    pub is_superuser: bool,
    pub disabled_at: Option<Timestamp>,
    pub has_password: bool,
    pub has_second_factor: bool,
    /// Organisations that it has a role in, or in one of their projects.
    pub orgs: i64,
    pub last_login_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// The instance's own accounts; `$1` is their realm, `$2` now.
const SELECT: &str =
    "SELECT u.id, e.address AS email, e.verified_at AS email_verified_at, u.first_name, u.last_name, u.username,
        u.is_superuser, u.disabled_at, (u.password_hash IS NOT NULL) AS has_password,
        EXISTS (SELECT 1 FROM second_factors f
            WHERE f.user_id = u.id AND f.kind = 'totp' AND f.confirmed_at IS NOT NULL) AS has_second_factor,
        (SELECT COUNT(DISTINCT m.org_id) FROM memberships m JOIN orgs o ON o.id = m.org_id AND o.deleted_at IS NULL
            WHERE m.subject_id = u.id AND m.subject_type = 'user'
              AND (m.expires_at IS NULL OR m.expires_at > $2)) AS orgs,
        u.last_login_at, u.created_at
    FROM users u JOIN user_emails e ON e.user_id = u.id AND e.is_primary
    WHERE u.realm_id = $1";

/// A filter; `$3` is a pattern in lower case.
const SEARCHED: &str = " AND (lower(u.first_name || ' ' || u.last_name) LIKE $3 ESCAPE '!'
    OR coalesce(u.username, '') LIKE $3 ESCAPE '!'
    OR EXISTS (SELECT 1 FROM user_emails x WHERE x.user_id = u.id AND x.canonical LIKE $3 ESCAPE '!'))";

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// The accounts, oldest first; those whose names or addresses contain this, if that is asked for.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(from: &impl Reads, _: &Superuser, search: Option<&str>, page: PageRequest) -> Result<Page<User>> {
    let mut values: Vec<Value> = vec![Uuid::nil().into(), from.now().into()];
    let mut filter = "";
    if let Some(search) = search.filter(|search| !search.is_empty()) {
        filter = SEARCHED;
        values.push(text::containing(search).into());
    }
    let counting = format!("SELECT COUNT(*) AS n FROM ({SELECT}{filter}) x");
    let count = Count::find_by_statement(from.sql(&counting, values.clone()));
    let total = count.one(from.conn()).await?.map_or(0, |count| count.n);
    let order = format!(
        " ORDER BY u.created_at, u.id LIMIT {} OFFSET {}",
        page.limit, page.offset
    );
    let sql = format!("{SELECT}{filter}{order}");
    Ok(Page {
        data: User::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?,
        request: page,
        total: u64::try_from(total).unwrap_or(0),
    })
}

async fn get(from: &impl Reads, id: UserId) -> Result<User> {
    let sql = format!("{SELECT} AND u.id = $3");
    let values = [Uuid::nil().into(), from.now().into(), id.into()];
    let found = User::find_by_statement(from.sql(&sql, values)).one(from.conn()).await?;
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// Flags to be set; absent ones stay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flags {
    pub is_superuser: Option<bool>,
    pub is_active: Option<bool>,
}

/// Why somebody stays a superuser.
const LAST: &str = "This is the only superuser of the instance. Make somebody else one first.";

/// Nobody does this to themselves.
fn require_somebody_else(superuser: &Superuser, user: UserId) -> Result<()> {
    if superuser.user() == user {
        let detail = "This is your own account. Ask another superuser, or use the operations for one's own account.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    Ok(())
}

/// Sets flags of an account; tells whether one of them was not so already. Switched off, its sessions and tokens end for
/// good.
///
/// # Errors
/// `not_found`; `conflict` for one's own account and for the last superuser; `step_up_required` to give or take a
/// superuser's rights.
pub async fn set_flags(tx: &WriteTx, superuser: &Superuser, id: &str, flags: Flags) -> Result<(User, bool)> {
    let id: UserId = id.parse().map_err(|_| Problem::not_found())?;
    superusers::lock(tx).await?;
    superuser.again(tx).await?;
    let found = get(tx, id).await?;
    let Flags {
        is_superuser,
        is_active,
    } = flags;
    let is_superuser = is_superuser.filter(|wanted| *wanted != found.is_superuser);
    let is_active = is_active.filter(|wanted| *wanted != found.disabled_at.is_none());
    if is_superuser.is_none() && is_active.is_none() {
        return Ok((found, false));
    }
    require_somebody_else(superuser, id)?;
    if is_superuser == Some(false) || is_active == Some(false) {
        superusers::require_other(tx, id, LAST).await?;
    }
    let mut entry = Entry::of_account(id, Action::UserFlagsChanged, Target::User(id));
    if let Some(is_superuser) = is_superuser {
        require_recent_sign_in(tx, superuser.caller())?;
        superusers::set(tx, id, is_superuser).await?;
        entry = entry.with("is_superuser", is_superuser);
    }
    if let Some(is_active) = is_active {
        if is_active {
            superusers::switch_on(tx, id).await?;
        } else {
            superusers::switch_off(tx, id).await?;
        }
        entry = entry.with("is_active", is_active);
    }
    journal::record(tx, superuser.origin(), entry).await?;
    Ok((get(tx, id).await?, true))
}

/// Deletes an account, and the organisations in which nobody else is.
///
/// # Errors
/// `not_found`; `conflict` for one's own account and for the last superuser; `step_up_required`; `last_owner` naming the
/// organisations that others would be left in without an owner.
pub async fn delete(tx: &WriteTx, superuser: &Superuser, id: &str) -> Result<()> {
    let id: UserId = id.parse().map_err(|_| Problem::not_found())?;
    superusers::lock(tx).await?;
    superuser.again(tx).await?;
    require_recent_sign_in(tx, superuser.caller())?;
    get(tx, id).await?;
    require_somebody_else(superuser, id)?;
    superusers::require_other(tx, id, LAST).await?;
    let detail =
        "This is the only owner of organisations that others are in. Let somebody else own them, or delete them.";
    let gone = deletion::delete_account(tx, id, detail).await?;
    journal::record(tx, superuser.origin(), deletion::entry(id, &gone)).await?;
    Ok(())
}
