//! Whether the people of the organisation may join a project by themselves, and what they get.

use sea_orm::EntityTrait;

use super::entity::project;
use super::settings::ProjectPatch;
use crate::access::grant::ProjectsUpdate;
use crate::access::{BuiltinRole, ProjectAccess};
use crate::kernel::id::{ProjectId, RoleId};
use crate::kernel::{Error, Problem, Reads, Result, WriteTx};
use crate::members::assignment;
use crate::members::membership::Scope;

const CLOSED: &str = "closed";
const OPEN: &str = "open";

/// How a project can be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joining {
    /// Whether anybody of the organisation may join.
    pub is_open: bool,
    /// What joining gives.
    pub role: RoleId,
}

impl Joining {
    /// Nobody joins a new project.
    pub const NONE: Self = Self {
        is_open: false,
        role: BuiltinRole::PROJECT_VIEWER.id,
    };

    pub(super) fn read(row: &project::Model) -> Result<Self> {
        let is_open = match row.join_policy.as_str() {
            CLOSED => false,
            OPEN => true,
            _ => return Err(Error::internal(format!("project {} is stored wrongly", row.id))),
        };
        Ok(Self {
            is_open,
            role: row.join_role_id.unwrap_or(Self::NONE.role),
        })
    }

    /// The policy as stored: `open`.
    pub(super) const fn policy(self) -> &'static str {
        if self.is_open { OPEN } else { CLOSED }
    }
}

/// # Errors
/// `not_found` when the project is gone.
pub async fn of(from: &impl Reads, project: ProjectId) -> Result<Joining> {
    let row = project::Entity::find_by_id(project).one(from.conn()).await?;
    Joining::read(&row.ok_or_else(Problem::not_found)?)
}

/// What a change makes of it; `None` when it leaves it alone. Nobody lets others join to more than they hold
/// themselves.
pub(super) async fn changed(
    tx: &WriteTx,
    access: &ProjectAccess<ProjectsUpdate>,
    patch: &ProjectPatch,
) -> Result<Option<Joining>> {
    if patch.is_open.is_none() && patch.join_role.is_none() {
        return Ok(None);
    }
    let before = of(tx, access.project.id).await?;
    let scope = Scope {
        org: access.org.id,
        project: Some(access.project.id),
    };
    let reference = patch.join_role.clone().unwrap_or_else(|| before.role.to_string());
    let role = assignment::joinable(tx, scope, &reference).await?;
    let after = Joining {
        is_open: patch.is_open.unwrap_or(before.is_open),
        role: role.id,
    };
    if after == before {
        return Ok(None);
    }
    access.require_holds(&role.grants)?;
    Ok(Some(after))
}
