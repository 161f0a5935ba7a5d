//! What others need to know of an organisation that pays, or may.

use sea_orm::EntityTrait;

use super::entity::org;
use crate::kernel::id::OrgId;
use crate::kernel::{Reads, Result, Timestamp};

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
