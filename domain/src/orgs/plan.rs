//! The plan that an organisation is on. Only `billing::apply_plan` sets it.

use sea_orm::{ConnectionTrait, EntityTrait};

use super::entity::org;
use crate::kernel::id::OrgId;
use crate::kernel::{Problem, Reads, Result, Timestamp, WriteTx};
use crate::members::ownership;

/// What billing needs to know of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Billed {
    pub name: String,
    pub plan: String,
    pub updated_at: Timestamp,
    pub is_deleted: bool,
}

/// What billing needs to know of an organisation; `None` when it is gone for good.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn billed(from: &impl Reads, id: OrgId) -> Result<Option<Billed>> {
    let row = org::Entity::find_by_id(id).one(from.conn()).await?;
    Ok(row.map(|row| Billed {
        name: row.name,
        plan: row.plan,
        updated_at: row.updated_at,
        is_deleted: row.deleted_at.is_some(),
    }))
}

/// Puts an organisation on a plan; the plan of before, or `None` when it was on this one. The caller journals.
///
/// # Errors
/// `not_found`.
pub(crate) async fn set(tx: &WriteTx, id: OrgId, plan: &str) -> Result<Option<String>> {
    ownership::lock(tx, id).await?;
    let before = billed(tx, id).await?.ok_or_else(Problem::not_found)?;
    if before.plan == plan {
        return Ok(None);
    }
    let sql = "UPDATE orgs SET plan = $2, updated_at = $3 WHERE id = $1";
    let values = [id.into(), plan.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(Some(before.plan))
}
