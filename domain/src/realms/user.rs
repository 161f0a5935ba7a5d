//! The users of a realm.

use sea_orm::{FromQueryResult, Value};
use serde_json::Map;

use super::roles;
use crate::access::OrgAccess;
use crate::kernel::id::{OrgId, RealmUserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Backend, Error, Problem, Reads, Result, Timestamp, WriteTx};

/// Whether a user is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Active,
    /// Switched off: it signs in no more, and its tokens have ended.
    Disabled,
}

/// A user of a realm.
#[derive(Clone, Debug)]
pub struct RealmUser {
    pub id: RealmUserId,
    pub org: OrgId,
    /// As typed; unique in the realm without regard to case.
    pub email: String,
    pub display_name: String,
    /// Names of its roles, in their order.
    pub roles: Vec<String>,
    pub status: Status,
    pub has_password: bool,
    pub metadata: Map<String, serde_json::Value>,
    pub last_login_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Row {
    id: RealmUserId,
    org_id: OrgId,
    address: String,
    display_name: String,
    has_password: i64,
    metadata: String,
    disabled_at: Option<Timestamp>,
    last_login_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

const SELECT: &str = "SELECT u.id, u.org_id, u.address, u.display_name,
        CASE WHEN u.password_hash IS NULL THEN CAST(0 AS bigint) ELSE CAST(1 AS bigint) END AS has_password,
        u.metadata, u.disabled_at, u.last_login_at, u.created_at, u.updated_at
    FROM realm_users u WHERE u.org_id = $1";

/// What of `u` a search looks at; `$2` is a pattern in lower case.
const SEARCHED: &str = " AND (u.canonical LIKE $2 ESCAPE '!' OR lower(u.display_name) LIKE $2 ESCAPE '!')";

impl Row {
    fn read(self, roles: Vec<String>) -> Result<RealmUser> {
        let Self {
            id,
            org_id,
            address,
            display_name,
            has_password,
            metadata,
            disabled_at,
            last_login_at,
            created_at,
            updated_at,
        } = self;
        let broken = |_| Error::internal(format!("user {id} of a realm is stored wrongly"));
        Ok(RealmUser {
            id,
            org: org_id,
            email: address,
            display_name,
            roles,
            status: match disabled_at {
                None => Status::Active,
                Some(_) => Status::Disabled,
            },
            has_password: has_password != 0,
            metadata: serde_json::from_str(&metadata).map_err(broken)?,
            last_login_at,
            created_at,
            updated_at,
        })
    }
}

/// Which users are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// A part of their address or name, without regard to case.
    pub search: Option<String>,
    pub status: Option<Status>,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// The users of an organisation's realm, oldest first.
///
/// # Errors
/// [`Error::Db`].
pub async fn list<A>(
    from: &impl Reads,
    access: &OrgAccess<A>,
    filter: &Filter,
    page: PageRequest,
) -> Result<Page<RealmUser>> {
    let mut values: Vec<Value> = vec![access.org.id.into()];
    let mut wanted = String::new();
    if let Some(search) = filter.search.as_deref().filter(|search| !search.is_empty()) {
        wanted.push_str(SEARCHED);
        values.push(containing(search).into());
    }
    match filter.status {
        None => {}
        Some(Status::Active) => wanted.push_str(" AND u.disabled_at IS NULL"),
        Some(Status::Disabled) => wanted.push_str(" AND u.disabled_at IS NOT NULL"),
    }
    let counting = format!("SELECT COUNT(*) AS n FROM realm_users u WHERE u.org_id = $1{wanted}");
    let count = Count::find_by_statement(from.sql(&counting, values.clone()));
    let total = count.one(from.conn()).await?.map_or(0, |count| count.n);
    let order = format!(
        "ORDER BY u.created_at, u.id LIMIT {} OFFSET {}",
        page.limit, page.offset
    );
    let sql = format!("{SELECT}{wanted} {order}");
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut names = roles::names_of(from, &ids).await?;
    let read = |row: Row| {
        let roles = names.remove(&row.id).unwrap_or_default();
        row.read(roles)
    };
    Ok(Page {
        data: rows.into_iter().map(read).collect::<Result<_>>()?,
        request: page,
        total: u64::try_from(total).unwrap_or(0),
    })
}

/// A pattern for text that contains this.
fn containing(search: &str) -> String {
    let literal = |c: char| match c {
        '%' | '_' | '!' => vec!['!', c],
        _ => vec![c],
    };
    let search = search.to_lowercase();
    format!("%{}%", search.chars().flat_map(literal).collect::<String>())
}

/// # Errors
/// `not_found`.
pub async fn get<A>(from: &impl Reads, access: &OrgAccess<A>, id: &str) -> Result<RealmUser> {
    let id: RealmUserId = id.parse().map_err(|_| Problem::not_found())?;
    load(from, access.org.id, id).await
}

pub(super) async fn load(from: &impl Reads, org: OrgId, id: RealmUserId) -> Result<RealmUser> {
    let sql = format!("{SELECT} AND u.id = $2");
    let row = Row::find_by_statement(from.sql(&sql, [org.into(), id.into()]))
        .one(from.conn())
        .await?
        .ok_or_else(Problem::not_found)?;
    let names = roles::names_of(from, &[id]).await?.remove(&id).unwrap_or_default();
    row.read(names)
}

/// What of a user decides whether it is let in.
#[derive(Clone, Debug, FromQueryResult)]
pub(super) struct Standing {
    pub(super) id: RealmUserId,
    pub(super) address: String,
    pub(super) password_hash: Option<String>,
    pub(super) disabled_at: Option<Timestamp>,
    /// Rises with every change of password; a sign-in that began before is not finished.
    pub(super) auth_epoch: i64,
}

const STANDING: &str = "SELECT id, address, password_hash, disabled_at, auth_epoch FROM realm_users WHERE org_id = $1";

/// The user of an address, in its canonical form.
pub(super) async fn by_address(from: &impl Reads, org: OrgId, canonical: &str) -> Result<Option<Standing>> {
    let sql = format!("{STANDING} AND canonical = $2");
    Ok(
        Standing::find_by_statement(from.sql(&sql, [org.into(), canonical.into()]))
            .one(from.conn())
            .await?,
    )
}

/// The user of an id, whether it is let in or not.
pub(super) async fn standing(from: &impl Reads, org: OrgId, id: RealmUserId) -> Result<Option<Standing>> {
    let sql = format!("{STANDING} AND id = $2");
    Ok(Standing::find_by_statement(from.sql(&sql, [org.into(), id.into()]))
        .one(from.conn())
        .await?)
}

/// The same, locked until the transaction ends: what gives tokens and what ends them all wait for each other.
pub(super) async fn lock(tx: &WriteTx, org: OrgId, id: RealmUserId) -> Result<Option<Standing>> {
    // SQLite has no row locks and needs none: the transaction holds the only write lock.
    let sql = match tx.backend() {
        Backend::Postgres => format!("{STANDING} AND id = $2 FOR UPDATE"),
        Backend::Sqlite => format!("{STANDING} AND id = $2"),
    };
    Ok(Standing::find_by_statement(tx.sql(&sql, [org.into(), id.into()]))
        .one(tx.conn())
        .await?)
}
