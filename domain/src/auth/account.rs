//! What an account shows of itself.

use sea_orm::FromQueryResult;

use crate::access::BuiltinRole;
use crate::kernel::id::{OrgId, RoleId, UserId};
use crate::kernel::{Backend, Problem, Reads, Result, Timestamp, WriteTx};

/// An account with its primary address.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Account {
    pub id: UserId,
    pub email: String,
    pub email_verified_at: Option<Timestamp>,
    pub first_name: String,
    pub last_name: String,
    pub username: Option<String>,
    pub is_superuser: bool,
    pub password_hash: Option<String>,
    pub disabled_at: Option<Timestamp>,
    /// Rises with every change of password or loss of trust; see [`lock`].
    pub auth_epoch: i64,
    pub created_at: Timestamp,
}

const SELECT: &str =
    "SELECT u.id, e.address AS email, e.verified_at AS email_verified_at, u.first_name, u.last_name, u.username,
        u.is_superuser, u.password_hash, u.disabled_at, u.auth_epoch, u.created_at
    FROM users u JOIN user_emails e ON e.user_id = u.id AND e.is_primary";

impl Account {
    pub fn has_password(&self) -> bool {
        self.password_hash.is_some()
    }
}

/// # Errors
/// `not_found` when the account is gone.
pub async fn get(from: &impl Reads, id: UserId) -> Result<Account> {
    let sql = format!("{SELECT} WHERE u.id = $1");
    let found = Account::find_by_statement(from.sql(&sql, [id.into()]))
        .one(from.conn())
        .await?;
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// What of an account decides whether a sign-in that has begun may go on.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub struct Standing {
    pub disabled_at: Option<Timestamp>,
    pub auth_epoch: i64,
}

/// Locks an account until the transaction ends: what opens a session and what ends them all wait for each other.
///
/// # Errors
/// `not_found` when the account is gone.
pub async fn lock(tx: &WriteTx, id: UserId) -> Result<Standing> {
    // SQLite has no row locks and needs none: the transaction holds the only write lock.
    let sql = match tx.backend() {
        Backend::Postgres => "SELECT disabled_at, auth_epoch FROM users WHERE id = $1 FOR UPDATE",
        Backend::Sqlite => "SELECT disabled_at, auth_epoch FROM users WHERE id = $1",
    };
    let found = Standing::find_by_statement(tx.sql(sql, [id.into()]))
        .one(tx.conn())
        .await?;
    Ok(found.ok_or_else(Problem::not_found)?)
}

/// The account that signs in with this name: one of its verified addresses, its primary address, or its username.
/// `name` is canonical.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn find_by_login(from: &impl Reads, name: &str) -> Result<Option<Account>> {
    let sql = format!(
        "{SELECT} WHERE u.realm_id = $2 AND (u.username = $1 OR u.id = (SELECT x.user_id FROM user_emails x
            WHERE x.realm_id = $2 AND x.canonical = $1 AND (x.is_primary OR x.verified_at IS NOT NULL)))"
    );
    let values = [name.into(), uuid::Uuid::nil().into()];
    Ok(Account::find_by_statement(from.sql(&sql, values))
        .one(from.conn())
        .await?)
}

/// The account that has proved this address to be its own, disabled or not. Who only claims it is not meant: whoever
/// names somebody by an address means the person who reads its mail. `canonical` is canonical.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn find_by_proved_address(from: &impl Reads, canonical: &str) -> Result<Option<Account>> {
    let sql = format!(
        "{SELECT} WHERE u.realm_id = $2 AND u.id = (SELECT x.user_id FROM user_emails x
            WHERE x.realm_id = $2 AND x.canonical = $1 AND x.verified_at IS NOT NULL)"
    );
    let values = [canonical.into(), uuid::Uuid::nil().into()];
    Ok(Account::find_by_statement(from.sql(&sql, values))
        .one(from.conn())
        .await?)
}

/// An organisation that an account belongs to.
#[derive(Clone, Debug)]
pub struct OwnOrg {
    pub id: OrgId,
    pub slug: String,
    pub name: String,
    /// `None` for somebody who is in single projects only.
    pub role: Option<String>,
}

#[derive(FromQueryResult)]
struct OwnOrgRow {
    id: OrgId,
    slug: String,
    name: String,
    role_id: Option<RoleId>,
    role_name: Option<String>,
}

/// The organisations of an account, by name.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn orgs(from: &impl Reads, id: UserId) -> Result<Vec<OwnOrg>> {
    let sql = "SELECT o.id, o.slug, o.name, CASE WHEN m.project_id IS NULL THEN m.role_id ELSE NULL END AS role_id, r.name AS role_name
        FROM memberships m JOIN orgs o ON o.id = m.org_id LEFT JOIN roles r ON r.id = m.role_id
        WHERE m.subject_id = $1 AND m.subject_type = 'user' AND o.deleted_at IS NULL
          AND (m.expires_at IS NULL OR m.expires_at > $2)
          AND (r.id IS NULL OR r.audience = 'platform')
        ORDER BY o.name, o.id, m.project_id IS NOT NULL, m.role_id";
    let rows = OwnOrgRow::find_by_statement(from.sql(sql, [id.into(), from.now().into()]))
        .all(from.conn())
        .await?;
    let mut orgs: Vec<OwnOrg> = Vec::new();
    for OwnOrgRow {
        id,
        slug,
        name,
        role_id,
        role_name,
    } in rows
    {
        let role = role_id.and_then(|id| BuiltinRole::by_id(id).map(|role| role.name.to_owned()).or(role_name));
        match orgs.last_mut() {
            Some(last) if last.id == id => last.role = last.role.take().or(role),
            _ => orgs.push(OwnOrg { id, slug, name, role }),
        }
    }
    Ok(orgs)
}
