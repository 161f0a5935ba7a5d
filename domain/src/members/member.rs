//! Members as a list shows them: people and service accounts with their roles, and invitations that are out.

use std::collections::HashMap;

use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use super::membership::{HELD, HeldRole, HeldRow, Scope, subject_columns};
use crate::access::grant::MembersRead;
use crate::access::{BuiltinRole, Principal};
use crate::kernel::id::{InviteId, ServiceAccountId, UserId};
use crate::kernel::lists::{id_param, is_one_of};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, Reads, Result, Timestamp, text};
use crate::members::place::Place;

/// Who or what an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberId {
    User(UserId),
    ServiceAccount(ServiceAccountId),
    /// Somebody who has not come yet.
    Invite(InviteId),
}

/// An entry of the list.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: MemberId,
    /// Absent for a service account and an open link.
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    /// Of a service account.
    pub name: Option<String>,
    /// The highest first.
    pub roles: Vec<HeldRole>,
    pub created_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Row {
    kind: String,
    id: Uuid,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    name: Option<String>,
    created_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Who is in a place, people before invitations to become one of them; `$1` is its id, `$2` now.
const ENTRIES: &str =
    "SELECT 0 AS pending, p.kind, p.id, e.address AS email, e.canonical, u.first_name, u.last_name, s.name,
        p.created_at
    FROM (SELECT m.subject_type AS kind, m.subject_id AS id, MIN(m.created_at) AS created_at FROM memberships m
        WHERE m.scope_id = $1 AND (m.expires_at IS NULL OR m.expires_at > $2) GROUP BY m.subject_type, m.subject_id) p
    LEFT JOIN users u ON p.kind = 'user' AND u.id = p.id
    LEFT JOIN user_emails e ON e.user_id = u.id AND e.is_primary
    LEFT JOIN service_accounts s ON p.kind = 'service_account' AND s.id = p.id
    UNION ALL
    SELECT 1, 'invite', i.id, i.address, i.canonical, NULL, NULL, NULL, i.created_at FROM invites i
    WHERE i.scope_id = $1 AND i.revoked_at IS NULL AND i.uses < i.max_uses AND i.expires_at > $2 AND NOT i.for_realm";

/// A filter on the entries; `$3` is a pattern in lower case.
const SEARCHED: &str = "coalesce(x.canonical, '') LIKE $3 ESCAPE '!'
    OR lower(coalesce(x.first_name, '') || ' ' || coalesce(x.last_name, '')) LIKE $3 ESCAPE '!'
    OR lower(coalesce(x.name, '')) LIKE $3 ESCAPE '!'";

/// The people and service accounts of a place, oldest first, then the invitations that are out.
///
/// # Errors
/// [`Error::Db`].
pub async fn list<P: Place<Proof = MembersRead>>(
    from: &impl Reads,
    place: &P,
    search: Option<&str>,
    page: PageRequest,
) -> Result<Page<Member>> {
    let scope = place.scope();
    let mut values: Vec<Value> = vec![scope.id().into(), from.now().into()];
    let mut filter = String::new();
    if let Some(search) = search.filter(|search| !search.is_empty()) {
        filter = format!(" WHERE {SEARCHED}");
        values.push(text::containing(search).into());
    }
    let counting = format!("SELECT COUNT(*) AS n FROM ({ENTRIES}) x{filter}");
    let count = Count::find_by_statement(from.sql(&counting, values.clone()));
    let total = count.one(from.conn()).await?.map_or(0, |count| count.n);
    let order = format!(
        "ORDER BY x.pending, x.created_at, x.id LIMIT {} OFFSET {}",
        page.limit, page.offset
    );
    let sql = format!("SELECT x.* FROM ({ENTRIES}) x{filter} {order}");
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    Ok(Page {
        data: with_roles(from, scope, rows).await?,
        request: page,
        total: u64::try_from(total).unwrap_or(0),
    })
}

/// One member.
///
/// # Errors
/// `not_found` when they hold no role in the place.
pub async fn get(from: &impl Reads, scope: Scope, who: Principal) -> Result<Member> {
    let sql = format!("SELECT x.* FROM ({ENTRIES}) x WHERE x.kind = $3 AND x.id = $4");
    let (kind, id) = subject_columns(who);
    let values = [scope.id().into(), from.now().into(), kind.into(), id.into()];
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    let found = with_roles(from, scope, rows).await?.into_iter().next();
    Ok(found.ok_or_else(Problem::not_found)?)
}

async fn with_roles(from: &impl Reads, scope: Scope, rows: Vec<Row>) -> Result<Vec<Member>> {
    let (invites, people): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.kind == "invite");
    let ids = |rows: &[&Row]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    let held = format!("{HELD} WHERE m.scope_id = $1 AND (m.expires_at IS NULL OR m.expires_at > $2) AND m.subject_id");
    let mut roles = roles_of(from, &held, scope, &ids(&people)).await?;
    let offered =
        "SELECT i.id AS subject_id, i.project_id, i.role_id, i.env_classes, CAST(NULL AS bigint) AS expires_at, r.name,
            r.audience, r.permissions FROM invites i LEFT JOIN roles r ON r.id = i.role_id
        WHERE i.scope_id = $1 AND i.expires_at > $2 AND i.id";
    roles.extend(roles_of(from, offered, scope, &ids(&invites)).await?);
    let member = |row: Row| {
        let roles = roles.remove(&row.id).unwrap_or_default();
        member(row, roles)
    };
    rows.into_iter().map(member).collect()
}

/// The roles of some entries, the highest first.
async fn roles_of(from: &impl Reads, select: &str, scope: Scope, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<HeldRole>>> {
    let mut roles: HashMap<Uuid, Vec<HeldRole>> = HashMap::new();
    if ids.is_empty() {
        return Ok(roles);
    }
    let sql = format!("{select}{}", is_one_of(from.backend(), "", "$3"));
    let values = [scope.id().into(), from.now().into(), id_param(ids.iter().copied())];
    for row in HeldRow::find_by_statement(from.sql(&sql, values))
        .all(from.conn())
        .await?
    {
        let subject = row.subject_id;
        roles.entry(subject).or_default().extend(row.read()?);
    }
    for list in roles.values_mut() {
        list.sort_by_key(|held| (std::cmp::Reverse(height(held)), held.role.name.clone()));
    }
    Ok(roles)
}

/// How much a role grants; of two that grant as much the built-in one is the higher.
fn height(held: &HeldRole) -> (usize, bool) {
    (
        held.role.grants.iter().count(),
        BuiltinRole::by_id(held.role.id).is_some(),
    )
}

fn member(row: Row, roles: Vec<HeldRole>) -> Result<Member> {
    let Row {
        kind,
        id,
        email,
        first_name,
        last_name,
        name,
        created_at,
    } = row;
    let id = match kind.as_str() {
        "user" => MemberId::User(UserId(id)),
        "service_account" => MemberId::ServiceAccount(ServiceAccountId(id)),
        "invite" => MemberId::Invite(InviteId(id)),
        _ => return Err(Error::internal("a membership is stored wrongly")),
    };
    Ok(Member {
        id,
        email,
        first_name,
        last_name,
        name,
        roles,
        created_at,
    })
}
