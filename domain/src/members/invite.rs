//! Invitations as they are stored: where they lead, what they give, and how they stand.

use sea_orm::{FromQueryResult, Value};
use uuid::Uuid;

use super::assignment::Assignment;
use super::membership::Scope;
use super::place::Place;
use super::subject;
use crate::access::grant::MembersInvite;
use crate::access::{BuiltinRole, ClassSet, Permission, Principal, vouch};
use crate::kernel::id::{InviteId, OrgId, ProjectId, RoleId, UserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, Reads, Result, Timestamp};
use crate::policy::assignable::AssignableRole;

/// How an invitation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteStatus {
    /// It can be accepted.
    Pending,
    /// It was accepted as often as it could be.
    Accepted,
    Expired,
    Revoked,
}

impl InviteStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Accepted, Self::Expired, Self::Revoked]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// An organisation or project that an invitation leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceName<T> {
    pub id: T,
    pub slug: String,
    pub name: String,
}

/// Who stands behind an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inviter {
    pub id: UserId,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
}

impl Inviter {
    /// `Dana Scully (dana@example.com)`
    pub fn label(&self) -> String {
        let name = format!("{} {}", self.first_name, self.last_name);
        match name.trim() {
            "" => self.email.clone(),
            name => format!("{name} ({})", self.email),
        }
    }
}

/// An invitation.
#[derive(Clone, Debug)]
pub struct Invite {
    pub id: InviteId,
    pub org: PlaceName<OrgId>,
    /// `None` = to the whole organisation.
    pub project: Option<PlaceName<ProjectId>>,
    /// As typed; `None` = an open link.
    pub email: Option<String>,
    pub canonical: Option<String>,
    pub role_id: RoleId,
    /// `None` when the role is gone.
    pub role: Option<AssignableRole>,
    pub env_classes: Option<ClassSet>,
    /// Whoever accepts becomes a user of the realm and not a member.
    pub for_realm: bool,
    pub max_uses: i32,
    pub uses: i32,
    pub invited_by: UserId,
    /// `None` when that account is gone.
    pub inviter: Option<Inviter>,
    pub status: InviteStatus,
    /// Of the token that was shown; see [`super::invite_token`].
    pub token_mac: Vec<u8>,
    pub created_at: Timestamp,
    /// When it was last given: made, or sent again.
    pub given_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(FromQueryResult)]
struct Row {
    id: InviteId,
    org_id: OrgId,
    org_slug: String,
    org_name: String,
    project_id: Option<ProjectId>,
    project_slug: Option<String>,
    project_name: Option<String>,
    address: Option<String>,
    canonical: Option<String>,
    role_id: RoleId,
    role_name: Option<String>,
    role_audience: Option<String>,
    role_permissions: Option<String>,
    env_classes: Option<String>,
    for_realm: bool,
    max_uses: i32,
    uses: i32,
    invited_by: UserId,
    inviter_email: Option<String>,
    inviter_first_name: Option<String>,
    inviter_last_name: Option<String>,
    status: String,
    token_mac: Vec<u8>,
    created_at: Timestamp,
    updated_at: Timestamp,
    expires_at: Timestamp,
}

/// Those whose organisation, and project if they have one, is there; `$1` is now. What was accepted stays so, whatever
/// became of it later.
const SELECT: &str =
    "SELECT i.id, i.org_id, o.slug AS org_slug, o.name AS org_name, i.project_id, p.slug AS project_slug,
        p.name AS project_name, i.address, i.canonical, i.role_id, r.name AS role_name, r.audience AS role_audience,
        r.permissions AS role_permissions, i.env_classes, i.for_realm, i.max_uses, i.uses, i.invited_by, e.address AS inviter_email,
        u.first_name AS inviter_first_name, u.last_name AS inviter_last_name,
        CASE WHEN i.uses >= i.max_uses THEN 'accepted' WHEN i.revoked_at IS NOT NULL THEN 'revoked'
             WHEN i.expires_at <= $1 THEN 'expired' ELSE 'pending' END AS status,
        i.token_mac, i.created_at, i.updated_at, i.expires_at
    FROM invites i
    JOIN orgs o ON o.id = i.org_id AND o.deleted_at IS NULL
    LEFT JOIN projects p ON p.id = i.project_id
    LEFT JOIN roles r ON r.id = i.role_id
    LEFT JOIN users u ON u.id = i.invited_by
    LEFT JOIN user_emails e ON e.user_id = u.id AND e.is_primary
    WHERE (i.project_id IS NULL OR p.deleted_at IS NULL)";

/// Those of a place; `$2` is its id. To an organisation belong those to its projects.
const OF_PLACE: &str = "AND (i.scope_id = $2 OR i.scope_id IN (SELECT q.id FROM projects q WHERE q.org_id = $2))";

impl Row {
    fn read(self) -> Result<Invite> {
        let Self {
            id,
            org_id,
            org_slug,
            org_name,
            project_id,
            project_slug,
            project_name,
            address,
            canonical,
            role_id,
            role_name,
            role_audience,
            role_permissions,
            env_classes,
            for_realm,
            max_uses,
            uses,
            invited_by,
            inviter_email,
            inviter_first_name,
            inviter_last_name,
            status,
            token_mac,
            created_at,
            updated_at,
            expires_at,
        } = self;
        let broken = || Error::internal(format!("invitation {id} is stored wrongly"));
        let classes = env_classes.map(|classes| ClassSet::parse(&classes)).transpose();
        Ok(Invite {
            id,
            org: PlaceName {
                id: org_id,
                slug: org_slug,
                name: org_name,
            },
            project: match (project_id, project_slug, project_name) {
                (Some(id), Some(slug), Some(name)) => Some(PlaceName { id, slug, name }),
                _ => None,
            },
            email: address,
            canonical,
            role_id,
            role: AssignableRole::stored(role_id, role_name, role_audience, role_permissions)?,
            env_classes: classes.map_err(|_| broken())?,
            for_realm,
            max_uses,
            uses,
            invited_by,
            inviter: match (inviter_email, inviter_first_name, inviter_last_name) {
                (Some(email), Some(first_name), Some(last_name)) => Some(Inviter {
                    id: invited_by,
                    email,
                    first_name,
                    last_name,
                }),
                _ => None,
            },
            status: InviteStatus::parse(&status).ok_or_else(broken)?,
            token_mac,
            created_at,
            given_at: updated_at,
            expires_at,
        })
    }
}

impl Invite {
    pub fn scope(&self) -> Scope {
        Scope {
            org: self.org.id,
            project: self.project.as_ref().map(|project| project.id),
        }
    }

    /// What the role is called; its id when it is gone.
    pub fn role_name(&self) -> String {
        match &self.role {
            Some(role) => role.name.clone(),
            None => BuiltinRole::reference(self.role_id),
        }
    }

    /// What it gives; `None` when the role is gone.
    pub fn gives(&self) -> Option<Assignment> {
        let role = self.role.clone()?;
        Some(Assignment {
            env_classes: self.env_classes,
            ..Assignment::plain(role)
        })
    }

    /// What it gives now: nothing, when whoever stands behind it could no longer give it. Nobody grants above
    /// themselves, and that counts at the moment of granting.
    ///
    /// # Errors
    /// [`Error::Db`].
    pub async fn gives_now(&self, from: &impl Reads) -> Result<Option<Assignment>> {
        let Some(given) = self.gives() else { return Ok(None) };
        if !subject::is_active(from, self.invited_by).await? {
            return Ok(None);
        }
        let needed: &[Permission] = match (self.for_realm, given.role.is_app) {
            (true, _) => &[Permission::MembersInvite, Permission::UsersManage],
            (false, true) => &[Permission::MembersInvite, Permission::MembersSetRole],
            (false, false) => &[Permission::MembersInvite],
        };
        let (who, Scope { org, project }) = (Principal::User(self.invited_by), self.scope());
        let still = vouch::may_give(from, who, (org, project), needed, &given.grants()).await?;
        Ok(still.then_some(given))
    }
}

/// The invitation that one of two tokens is of, by their keyed hashes.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn by_macs(from: &impl Reads, macs: [&[u8; 32]; 2]) -> Result<Option<Invite>> {
    let sql = format!("{SELECT} AND i.token_mac IN ($2, $3)");
    let [one, two] = macs.map(|mac| Value::from(mac.to_vec()));
    let found = Row::find_by_statement(from.sql(&sql, [from.now().into(), one, two]));
    found.one(from.conn()).await?.map(Row::read).transpose()
}

/// An invitation of a place by its id. The organisation has those to its projects too.
///
/// # Errors
/// `not_found`.
pub async fn find(from: &impl Reads, scope: Scope, id: &str) -> Result<Invite> {
    let id: InviteId = id.parse().map_err(|_| Problem::not_found())?;
    let sql = format!("{SELECT} {OF_PLACE} AND i.id = $3");
    let values = [from.now().into(), scope.id().into(), id.into()];
    let found = Row::find_by_statement(from.sql(&sql, values)).one(from.conn()).await?;
    found.ok_or_else(Problem::not_found)?.read()
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// The invitations of a place, newest first; those that stand so, if that is asked for.
///
/// # Errors
/// [`Error::Db`].
pub async fn list<P: Place<Proof = MembersInvite>>(
    from: &impl Reads,
    place: &P,
    status: Option<InviteStatus>,
    page: PageRequest,
) -> Result<Page<Invite>> {
    listed(from, Some(place.scope()), status, page).await
}

/// The invitations of all organisations, newest first. Whoever calls has checked that they may be shown.
///
/// # Errors
/// [`Error::Db`].
pub async fn list_all(from: &impl Reads, status: Option<InviteStatus>, page: PageRequest) -> Result<Page<Invite>> {
    listed(from, None, status, page).await
}

async fn listed(
    from: &impl Reads,
    scope: Option<Scope>,
    status: Option<InviteStatus>,
    page: PageRequest,
) -> Result<Page<Invite>> {
    let mut values: Vec<Value> = vec![from.now().into()];
    let mut of_place = "";
    if let Some(scope) = scope {
        of_place = OF_PLACE;
        values.push(scope.id().into());
    }
    let mut filter = String::new();
    if let Some(status) = status {
        values.push(status.as_str().into());
        filter = format!("WHERE x.status = ${}", values.len());
    }
    let counting = format!("SELECT COUNT(*) AS n FROM ({SELECT} {of_place}) x {filter}");
    let count = Count::find_by_statement(from.sql(&counting, values.clone()));
    let total = count.one(from.conn()).await?.map_or(0, |count| count.n);
    let order = format!(
        "ORDER BY x.created_at DESC, x.id DESC LIMIT {} OFFSET {}",
        page.limit, page.offset
    );
    let sql = format!("SELECT x.* FROM ({SELECT} {of_place}) x {filter} {order}");
    let rows = Row::find_by_statement(from.sql(&sql, values)).all(from.conn()).await?;
    Ok(Page {
        data: rows.into_iter().map(Row::read).collect::<Result<_>>()?,
        request: page,
        total: u64::try_from(total).unwrap_or(0),
    })
}

#[derive(FromQueryResult)]
struct OrgOf {
    org_id: OrgId,
}

/// The organisation that an invitation leads into, by itself or by one of its projects.
///
/// # Errors
/// `not_found`.
pub async fn org_of(from: &impl Reads, id: &str) -> Result<OrgId> {
    let id: InviteId = id.parse().map_err(|_| Problem::not_found())?;
    let sql = "SELECT org_id FROM invites WHERE id = $1";
    let found = OrgOf::find_by_statement(from.sql(sql, [id.into()]));
    let found = found.one(from.conn()).await?.ok_or_else(Problem::not_found)?;
    Ok(found.org_id)
}

/// Whether another invitation to this place is out for an address.
///
/// # Errors
/// [`Error::Db`].
pub(super) async fn is_out(
    from: &impl Reads,
    scope: Scope,
    for_realm: bool,
    canonical: &str,
    but: Option<InviteId>,
) -> Result<bool> {
    let sql = "SELECT COUNT(*) AS n FROM invites WHERE canonical = $1 AND scope_id = $2 AND id <> $3
        AND revoked_at IS NULL AND uses < max_uses AND expires_at > $4 AND for_realm = $5";
    let but = but.map_or_else(Uuid::nil, |id| id.0);
    let values = [
        canonical.into(),
        scope.id().into(),
        but.into(),
        from.now().into(),
        for_realm.into(),
    ];
    let count = Count::find_by_statement(from.sql(sql, values)).one(from.conn()).await?;
    Ok(count.is_some_and(|count| count.n > 0))
}
