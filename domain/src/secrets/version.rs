//! The history of a secret.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::current::{self, Current};
use super::entity::version;
use super::place::EnvPlace;
use crate::access::grant::{SecretsBulkDelete, SecretsList};
use crate::access::{Caller, EnvAccess};
use crate::journal::{self, Action, Target};
use crate::kernel::id::EnvId;
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Backend, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

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
    let secret = current::of_key(from, access.env.id, key)
        .await?
        .filter(Current::is_live)
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
        revision: _,
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

/// Keeps other writers of the environment waiting, so that a version cannot become the current one while it is being
/// destroyed. SQLite has one writer anyway.
pub(super) async fn lock(tx: &WriteTx, env: EnvId) -> Result<()> {
    if tx.backend() == Backend::Postgres {
        let sql = "SELECT id FROM environments WHERE id = $1 FOR NO KEY UPDATE";
        tx.conn().execute_raw(tx.sql(sql, [env.into()])).await?;
    }
    Ok(())
}

/// Destroys the value and comment of one version for good. The version stays in the history.
///
/// # Errors
/// `not_found`; `conflict` for the current version of a secret that is not deleted.
pub async fn destroy(
    tx: &WriteTx,
    caller: &Caller,
    access: &EnvAccess<SecretsBulkDelete>,
    key: &str,
    number: i64,
) -> Result<()> {
    lock(tx, access.env.id).await?;
    let secret = current::of_key(tx, access.env.id, key)
        .await?
        .ok_or_else(Problem::not_found)?;
    if secret.live_version() == Some(number) {
        let detail = "The current version of a secret cannot be destroyed. Store a new value, or delete the secret.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let sql = "UPDATE secret_versions SET sealed_value = NULL, sealed_comment = NULL, destroyed_at = $3
               WHERE secret_id = $1 AND version = $2 AND destroyed_at IS NULL";
    let values = [secret.id.into(), number.into(), tx.now().into()];
    if tx.conn().execute_raw(tx.sql(sql, values)).await?.rows_affected() == 0 {
        return Err(Problem::not_found().into());
    }
    let place = EnvPlace::from(access);
    let entry = place.entry(
        Action::SecretVersionDestroyed,
        Target::Secret(secret.id),
        access.env.revision,
    );
    journal::record(tx, &caller.origin, entry.with("key", key).with("version", number)).await?;
    Ok(())
}
