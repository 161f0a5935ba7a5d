//! The rows that give roles.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};

use super::assignment::Assignment;
use super::entity::membership;
use crate::access::role::RoleLevel;
use crate::access::{ClassSet, Principal};
use crate::auth::token;
use crate::kernel::id::{MembershipId, OrgId, ProjectId, RoleId, ServiceAccountId, UserId};
use crate::kernel::{Error, Reads, Result, Timestamp, WriteTx};
use crate::policy::access_rule;
use crate::policy::assignable::AssignableRole;

/// Where a role is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    pub org: OrgId,
    /// `None` = in the whole organisation.
    pub project: Option<ProjectId>,
}

impl Scope {
    /// The project or else the organisation: what is unique together with subject and role.
    pub fn id(self) -> uuid::Uuid {
        self.project.map_or(self.org.0, |project| project.0)
    }

    /// Which roles can be held here.
    pub fn level(self) -> RoleLevel {
        match self.project {
            None => RoleLevel::Org,
            Some(_) => RoleLevel::Project,
        }
    }
}

/// A role to be held.
#[derive(Clone, Debug)]
pub struct NewMembership {
    pub scope: Scope,
    pub subject: Principal,
    pub role: RoleId,
    /// Where the role's `secrets:read` reaches instead.
    pub env_classes: Option<ClassSet>,
    pub expires_at: Option<Timestamp>,
    pub granted_by: Option<Principal>,
}

/// How the table names a principal.
pub fn subject_columns(principal: Principal) -> (&'static str, uuid::Uuid) {
    match principal {
        Principal::User(id) => ("user", id.0),
        Principal::ServiceAccount(id) => ("service_account", id.0),
    }
}

/// Takes a role from everybody who holds it; tells how many memberships there were.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn delete_of_role(tx: &WriteTx, role: RoleId) -> Result<u64> {
    let deleted = membership::Entity::delete_many()
        .filter(membership::Column::RoleId.eq(role))
        .exec(tx.conn())
        .await?;
    Ok(deleted.rows_affected)
}

/// Inserts the row; the caller has checked that it may be, and journals.
///
/// # Errors
/// [`crate::kernel::Error::Db`], also when the subject holds the role there already.
pub async fn insert(tx: &WriteTx, new: NewMembership) -> Result<()> {
    let NewMembership {
        scope,
        subject,
        role,
        env_classes,
        expires_at,
        granted_by,
    } = new;
    let (subject_type, subject_id) = subject_columns(subject);
    let row = membership::ActiveModel {
        id: Set(tx.new_id()?),
        org_id: Set(scope.org),
        project_id: Set(scope.project),
        scope_id: Set(scope.id()),
        subject_type: Set(subject_type.to_owned()),
        subject_id: Set(subject_id),
        role_id: Set(role),
        env_classes: Set(env_classes.map(|classes| classes.to_string())),
        granted_by: Set(granted_by.map(|by| subject_columns(by).1)),
        expires_at: Set(expires_at),
        created_at: Set(tx.now()),
    };
    membership::Entity::insert(row)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

/// Deletes every membership of a service account; the caller journals.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn delete_of_service_account(tx: &WriteTx, id: ServiceAccountId) -> Result<()> {
    membership::Entity::delete_many()
        .filter(membership::Column::SubjectId.eq(id.0))
        .exec(tx.conn())
        .await?;
    Ok(())
}
/// A role that somebody holds now.
#[derive(Clone, Debug)]
pub struct HeldRole {
    /// `None` = in the whole organisation.
    pub at: Option<ProjectId>,
    pub role: AssignableRole,
    pub env_classes: Option<ClassSet>,
    pub expires_at: Option<Timestamp>,
}

impl HeldRole {
    /// The role as it would be given.
    pub fn assignment(&self) -> Assignment {
        Assignment {
            role: self.role.clone(),
            env_classes: self.env_classes,
            expires_at: self.expires_at,
        }
    }
}

/// A row with the role's own, if the organisation made it.
#[derive(FromQueryResult)]
pub(super) struct HeldRow {
    pub(super) subject_id: uuid::Uuid,
    project_id: Option<ProjectId>,
    role_id: RoleId,
    env_classes: Option<String>,
    expires_at: Option<Timestamp>,
    name: Option<String>,
    audience: Option<String>,
    permissions: Option<String>,
}

/// The columns of a [`HeldRow`].
pub(super) const HELD: &str =
    "SELECT m.subject_id, m.project_id, m.role_id, m.env_classes, m.expires_at, r.name, r.audience,
        r.permissions FROM memberships m LEFT JOIN roles r ON r.id = m.role_id";

impl HeldRow {
    /// `None` when the role is gone.
    pub(super) fn read(self) -> Result<Option<HeldRole>> {
        let Self {
            subject_id: _,
            project_id,
            role_id,
            env_classes,
            expires_at,
            name,
            audience,
            permissions,
        } = self;
        let Some(role) = AssignableRole::stored(role_id, name, audience, permissions)? else {
            return Ok(None);
        };
        let classes = env_classes.map(|classes| ClassSet::parse(&classes)).transpose();
        Ok(Some(HeldRole {
            at: project_id,
            role,
            env_classes: classes.map_err(|_| Error::internal("a membership is stored wrongly"))?,
            expires_at,
        }))
    }
}

/// The roles that somebody holds now in an organisation and in its projects.
///
/// # Errors
/// [`Error::Db`].
pub async fn held(from: &impl Reads, org: OrgId, subject: Principal) -> Result<Vec<HeldRole>> {
    let (subject_type, subject_id) = subject_columns(subject);
    let sql = format!(
        "{HELD} WHERE m.org_id = $1 AND m.subject_type = $2 AND m.subject_id = $3
           AND (m.expires_at IS NULL OR m.expires_at > $4) ORDER BY m.role_id"
    );
    let values = [org.into(), subject_type.into(), subject_id.into(), from.now().into()];
    let rows = HeldRow::find_by_statement(from.sql(&sql, values))
        .all(from.conn())
        .await?;
    rows.into_iter().filter_map(|row| row.read().transpose()).collect()
}

/// Gives a role, or changes how it is held; the caller has checked that it may be, and journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn put(tx: &WriteTx, scope: Scope, to: Principal, given: &Assignment, by: Principal) -> Result<()> {
    let (subject_type, subject_id) = subject_columns(to);
    // A role that had ended counts as given anew.
    let sql =
        "INSERT INTO memberships (id, org_id, project_id, scope_id, subject_type, subject_id, role_id, env_classes,
            granted_by, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (subject_id, org_id, scope_id, role_id) DO UPDATE SET env_classes = excluded.env_classes,
            granted_by = excluded.granted_by, expires_at = excluded.expires_at,
            created_at = CASE WHEN memberships.expires_at <= excluded.created_at THEN excluded.created_at
                ELSE memberships.created_at END";
    let id: MembershipId = tx.new_id()?;
    let values = [
        id.into(),
        scope.org.into(),
        scope.project.into(),
        scope.id().into(),
        subject_type.into(),
        subject_id.into(),
        given.role.id.into(),
        given.env_classes.map(|classes| classes.to_string()).into(),
        subject_columns(by).1.into(),
        given.expires_at.into(),
        tx.now().into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Takes one role away.
///
/// # Errors
/// [`Error::Db`].
pub async fn remove_role(tx: &WriteTx, scope: Scope, from: Principal, role: RoleId) -> Result<()> {
    let (subject_type, subject_id) = subject_columns(from);
    let sql = "DELETE FROM memberships WHERE scope_id = $1 AND subject_type = $2 AND subject_id = $3 AND role_id = $4";
    let values = [scope.id().into(), subject_type.into(), subject_id.into(), role.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Takes every role of the place away but one.
///
/// # Errors
/// [`Error::Db`].
pub async fn remove_other_roles(tx: &WriteTx, scope: Scope, from: Principal, but: RoleId) -> Result<()> {
    let (subject_type, subject_id) = subject_columns(from);
    let sql = "DELETE FROM memberships WHERE scope_id = $1 AND subject_type = $2 AND subject_id = $3 AND role_id <> $4";
    let values = [scope.id().into(), subject_type.into(), subject_id.into(), but.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Takes away what somebody has in a place. In a project that is its roles there; in the organisation it is every role,
/// in its projects too, the access rules about them, and their tokens that work in it alone.
///
/// # Errors
/// [`Error::Db`].
pub async fn remove(tx: &WriteTx, scope: Scope, from: Principal) -> Result<()> {
    let (subject_type, subject_id) = subject_columns(from);
    let values = |place: uuid::Uuid| [place.into(), subject_type.into(), subject_id.into()];
    if let Some(project) = scope.project {
        let sql = "DELETE FROM memberships WHERE scope_id = $1 AND subject_type = $2 AND subject_id = $3";
        tx.conn().execute_raw(tx.sql(sql, values(project.0))).await?;
        return Ok(());
    }
    let sql = "DELETE FROM memberships WHERE org_id = $1 AND subject_type = $2 AND subject_id = $3";
    tx.conn().execute_raw(tx.sql(sql, values(scope.org.0))).await?;
    access_rule::delete_of_subject(tx, scope.org, from.into()).await?;
    match from {
        Principal::User(user) => token::revoke_bound(tx, user, scope.org).await,
        Principal::ServiceAccount(_) => Ok(()),
    }
}

/// Takes away whatever an account holds anywhere, for its deletion. Ask [`super::ownership::sole_ownerships`] first.
///
/// # Errors
/// [`Error::Db`].
pub async fn remove_all_of_user(tx: &WriteTx, user: UserId) -> Result<()> {
    let sql =
        "SELECT DISTINCT org_id AS id FROM memberships WHERE subject_type = 'user' AND subject_id = $1 ORDER BY org_id";
    let orgs = OrgOf::find_by_statement(tx.sql(sql, [user.into()]))
        .all(tx.conn())
        .await?;
    for OrgOf { id } in orgs {
        let scope = Scope { org: id, project: None };
        remove(tx, scope, Principal::User(user)).await?;
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct OrgOf {
    id: OrgId,
}
