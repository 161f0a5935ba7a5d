//! The history of a secret.

use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::change::find;
use super::entity::version;
use crate::access::EnvAccess;
use crate::access::grant::SecretsList;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Problem, Reads, Result, Timestamp};

/// A version, without its value.
#[derive(Clone, Debug)]
pub struct VersionInfo {
    pub version: i64,
    pub created_at: Timestamp,
    /// `user`, `service_account` or `system`.
    pub created_by_type: String,
    pub created_by_id: Uuid,
    /// Its value is gone for good.
    pub destroyed: bool,
}

/// Versions of a secret, newest first.
///
/// # Errors
/// `not_found`.
pub async fn list(
    from: &impl Reads,
    access: &EnvAccess<SecretsList>,
    key: &str,
    page: PageRequest,
) -> Result<Page<VersionInfo>> {
    let secret = find(from, access.env.id, key)
        .await?
        .filter(|secret| secret.deleted_at.is_none())
        .ok_or_else(Problem::not_found)?;
    let query = version::Entity::find().filter(version::Column::SecretId.eq(secret.id));
    let total = query.clone().count(from.conn()).await?;
    let newest = query
        .order_by_desc(version::Column::Version)
        .offset(page.offset)
        .limit(page.limit);
    let data = newest.all(from.conn()).await?.into_iter().map(info).collect();
    Ok(Page {
        data,
        request: page,
        total,
    })
}

fn info(row: version::Model) -> VersionInfo {
    let version::Model {
        secret_id: _,
        version,
        sealed_value: _,
        sealed_comment: _,
        fingerprint: _,
        created_by_type,
        created_by_id,
        created_at,
        destroyed_at,
    } = row;
    VersionInfo {
        version,
        created_at,
        created_by_type,
        created_by_id,
        destroyed: destroyed_at.is_some(),
    }
}
