//! The row that gives a role.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::entity::membership;
use crate::access::{ClassSet, Principal};
use crate::kernel::id::{OrgId, ProjectId, RoleId, ServiceAccountId};
use crate::kernel::{Reads, Result, Timestamp, WriteTx};

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
