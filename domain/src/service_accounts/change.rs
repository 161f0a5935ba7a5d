//! Changing and deleting a service account.

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};

use super::account::{ServiceAccount, get, get_to_change, unique_name};
use super::entity::service_account;
use crate::access::grant::ServiceAccountsManage;
use crate::access::{Caller, OrgAccess};
use crate::auth::ip_allow::IpAllow;
use crate::auth::service_key;
use crate::journal::{self, Action};
use crate::kernel::text::{self, MAX_DESCRIPTION_LEN};
use crate::kernel::{Reads, Result, WriteTx};
use crate::limits::{self, LimitKey, Scope};
use crate::members::membership;

/// Changes to an account; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct ServiceAccountPatch {
    pub name: Option<String>,
    pub description: Option<String>,
    pub ip_allow: Option<Vec<String>>,
    pub enabled: Option<bool>,
}

/// # Errors
/// `not_found`, `invalid_field`; `conflict` for a taken name; `forbidden` for an account that holds more than the
/// caller.
pub async fn update(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<ServiceAccountsManage>,
    id: &str,
    patch: ServiceAccountPatch,
) -> Result<ServiceAccount> {
    let ServiceAccountPatch {
        name,
        description,
        ip_allow,
        enabled,
    } = patch;
    let before = get_to_change(tx, access, id).await?;
    let mut changed = Vec::new();
    let mut row = service_account::ActiveModel {
        id: Set(before.id),
        updated_at: Set(tx.now()),
        ..Default::default()
    };
    if let Some(name) = name {
        row.name = Set(text::name("name", &name)?);
        changed.push("name");
    }
    if let Some(description) = description {
        row.description = Set(text::long("description", &description, MAX_DESCRIPTION_LEN)?);
        changed.push("description");
    }
    if let Some(entries) = ip_allow {
        row.ip_allow = Set(IpAllow::parse(&entries)?.to_stored());
        changed.push("ip_allow");
    }
    if let Some(enabled) = enabled {
        row.disabled_at = Set((!enabled).then(|| tx.now()));
        changed.push("enabled");
    }
    let updated = service_account::Entity::update(row).exec(tx.conn()).await;
    updated.map_err(unique_name)?;
    let after = get(tx, access, id).await?;
    let entry = after
        .entry(Action::ServiceAccountUpdated)
        .with("changed", changed)
        .with("enabled", after.enabled);
    journal::record(tx, &caller.origin, entry).await?;
    Ok(after)
}

/// Deletes an account with its keys, its roles and the rules about it.
///
/// # Errors
/// `not_found`; `forbidden` for an account that holds more than the caller.
pub async fn delete(tx: &WriteTx, caller: &Caller, access: &OrgAccess<ServiceAccountsManage>, id: &str) -> Result<()> {
    let account = get_to_change(tx, access, id).await?;
    service_key::revoke_all(tx, account.id).await?;
    membership::delete_of_service_account(tx, account.id).await?;
    let sql = "DELETE FROM acl_rules WHERE org_id = $1 AND subject_id = $2";
    tx.conn()
        .execute_raw(tx.sql(sql, [access.org.id.into(), account.id.into()]))
        .await?;
    let deleted = service_account::Entity::delete_by_id(account.id)
        .exec(tx.conn())
        .await?;
    if deleted.rows_affected > 0 {
        limits::release(tx, Scope::org(access.org.id), LimitKey::ServiceAccounts, 1).await?;
    }
    let entry = account
        .entry(Action::ServiceAccountDeleted)
        .with("name", account.name.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}
