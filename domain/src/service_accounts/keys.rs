//! The keys of a service account: several at once, so that one can be replaced without an interruption.

use super::account::{get, get_to_change};
use crate::access::grant::ServiceAccountsManage;
use crate::access::{Caller, OrgAccess};
use crate::auth::service_key::{self, CreatedKey, NewKey, ServiceKey};
use crate::crypto::token::TokenMacKey;
use crate::journal::{self, Action};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Reads, Result, WriteTx};
use crate::limits::{self, LimitKey};

/// Makes a key beside those that there are.
///
/// # Errors
/// `not_found`, `invalid_field`; `conflict` when ten keys work already; `forbidden` for an account that holds more
/// than the caller; `plan_limit_exceeded`, but not for the second key of an account, so that one can be replaced.
pub async fn create(
    tx: &WriteTx,
    macs: &TokenMacKey,
    caller: &Caller,
    access: &OrgAccess<ServiceAccountsManage>,
    id: &str,
    new: NewKey,
) -> Result<CreatedKey> {
    let account = get_to_change(tx, access, id).await?;
    let tokens = limits::hold(tx, access.org.id, LimitKey::Tokens).await?;
    let made = service_key::insert(tx, macs, caller, account.id, new).await?;
    tokens.settle(tx).await?;
    let entry = account
        .entry(Action::ServiceAccountKeyCreated)
        .with("key_id", made.key.id.to_string())
        .with("name", made.key.name.clone());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(made)
}

/// The keys of an account that were not revoked, newest first.
///
/// # Errors
/// `not_found`.
pub async fn list(
    from: &impl Reads,
    access: &OrgAccess<ServiceAccountsManage>,
    id: &str,
    page: PageRequest,
) -> Result<Page<ServiceKey>> {
    let account = get(from, access, id).await?;
    service_key::list(from, account.id, page).await
}

/// Revokes a key; it is refused from the next request on.
///
/// # Errors
/// `not_found`; `forbidden` for an account that holds more than the caller.
pub async fn revoke(
    tx: &WriteTx,
    caller: &Caller,
    access: &OrgAccess<ServiceAccountsManage>,
    id: &str,
    key: &str,
) -> Result<()> {
    let account = get_to_change(tx, access, id).await?;
    let key = service_key::revoke(tx, account.id, key).await?;
    let entry = account
        .entry(Action::ServiceAccountKeyRevoked)
        .with("key_id", key.to_string());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}
