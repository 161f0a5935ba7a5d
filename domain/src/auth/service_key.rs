//! Keys of service accounts. An account has several at once, so that a key can be replaced without an interruption.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect,
};

use super::entity::credential;
use super::token::lifetime;
use crate::access::{Caller, Origin};
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::{CredentialId, FederatedIdentityId, ServiceAccountId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::text::{self, MAX_NAME_LEN};
use crate::kernel::{Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// Keys of one account that work at the same time, at most.
const MAX_LIVE_KEYS: u64 = 10;
/// The `kind` of tokens that others were traded for. They are no keys: nobody lists or counts them.
pub const TRADED: &str = "service_token";
/// Ended ones are kept for this long.
const KEPT: Duration = Duration::from_hours(24);

/// A key, without the key itself.
#[derive(Clone, Debug)]
pub struct ServiceKey {
    pub id: CredentialId,
    pub name: String,
    pub prefix: String,
    pub last_four: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

/// A key to be made.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// May be empty.
    pub name: String,
    /// `None` = it does not expire.
    pub expires_days: Option<i64>,
}

/// A new key, shown this once.
pub struct CreatedKey {
    pub key: ServiceKey,
    pub token: Token,
}

fn shown(row: credential::Model) -> ServiceKey {
    ServiceKey {
        id: row.id,
        name: row.name,
        prefix: row.prefix,
        last_four: row.last_four,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        expires_at: row.expires_at,
    }
}

fn of_account(account: ServiceAccountId) -> sea_orm::Select<credential::Entity> {
    credential::Entity::find()
        .filter(credential::Column::PrincipalId.eq(account.0))
        .filter(credential::Column::Kind.eq("service_key"))
        .filter(credential::Column::RevokedAt.is_null())
}

/// Makes a key. The account's row is locked by the caller, who also journals.
///
/// # Errors
/// `invalid_field`; `conflict` when ten keys work already.
pub async fn insert(
    tx: &WriteTx,
    macs: &TokenMacKey,
    caller: &Caller,
    account: ServiceAccountId,
    new: NewKey,
) -> Result<CreatedKey> {
    let NewKey { name, expires_days } = new;
    let name = text::short("name", name.trim(), MAX_NAME_LEN)?;
    let lifetime = expires_days.map(lifetime).transpose()?;
    let ends = credential::Column::ExpiresAt;
    let live = of_account(account).filter(Condition::any().add(ends.is_null()).add(ends.gt(tx.now())));
    if live.count(tx.conn()).await? >= MAX_LIVE_KEYS {
        let detail = format!("At most {MAX_LIVE_KEYS} keys of a service account work at once. Revoke one first.");
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let token = Token::generate(tx.rng(), TokenKind::ServiceKey)?;
    let row = credential::ActiveModel {
        id: Set(tx.new_id()?),
        kind: Set("service_key".to_owned()),
        principal_type: Set("service_account".to_owned()),
        principal_id: Set(account.0),
        secret_mac: Set(macs.mac(&token).to_vec()),
        prefix: Set(token.prefix().to_owned()),
        last_four: Set(token.last_four().to_owned()),
        name: Set(name),
        scopes: Set(None),
        patterns: Set(None),
        org_id: Set(None),
        family_id: Set(None),
        replaced_by: Set(None),
        auth_time: Set(None),
        amr: Set(None),
        ip: Set(caller.origin.ip.clone()),
        user_agent: Set(caller.origin.user_agent.clone()),
        created_at: Set(tx.now()),
        expires_at: Set(lifetime.map(|lifetime| tx.now() + lifetime)),
        idle_expires_at: Set(None),
        last_used_at: Set(None),
        revoked_at: Set(None),
    };
    let row = credential::Entity::insert(row).exec_with_returning(tx.conn()).await?;
    Ok(CreatedKey { key: shown(row), token })
}

/// The keys of an account that were not revoked, newest first.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn list(from: &impl Reads, account: ServiceAccountId, page: PageRequest) -> Result<Page<ServiceKey>> {
    let total = of_account(account).count(from.conn()).await?;
    let newest = of_account(account)
        .order_by_desc(credential::Column::CreatedAt)
        .order_by_desc(credential::Column::Id);
    let rows = newest.offset(page.offset).limit(page.limit).all(from.conn()).await?;
    Ok(Page {
        data: rows.into_iter().map(shown).collect(),
        request: page,
        total,
    })
}

/// Revokes one key of an account. It is refused from the next request on. The caller journals.
///
/// # Errors
/// `not_found`.
pub async fn revoke(tx: &WriteTx, account: ServiceAccountId, id: &str) -> Result<CredentialId> {
    let id: CredentialId = id.parse().map_err(|_| Problem::not_found())?;
    let sql = "UPDATE credentials SET revoked_at = $3
               WHERE id = $1 AND principal_id = $2 AND kind = 'service_key' AND revoked_at IS NULL";
    let revoked = tx
        .conn()
        .execute_raw(tx.sql(sql, [id.into(), account.into(), tx.now().into()]))
        .await?;
    if revoked.rows_affected() == 0 {
        return Err(Problem::not_found().into());
    }
    Ok(id)
}

/// Revokes every key of an account, and what tokens of other issuers were traded for. The caller journals.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn revoke_all(tx: &WriteTx, account: ServiceAccountId) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $2
               WHERE principal_id = $1 AND kind IN ('service_key', $3) AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [account.into(), tx.now().into(), TRADED.into()]))
        .await?;
    Ok(())
}

/// A key that is traded for a token that lives shorter: what comes of it is its family, and ends with it.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub struct Tradable {
    pub id: CredentialId,
    expires_at: Option<Timestamp>,
}

impl Tradable {
    /// When a token ends that would live for so long by itself.
    pub fn end(&self, alone: Timestamp) -> Timestamp {
        self.expires_at.map_or(alone, |end| end.min(alone))
    }
}

/// The key of a service account that was shown, if it can be traded. A token that was itself traded for something cannot:
/// it would go on for ever.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn tradable(from: &impl Reads, id: CredentialId) -> Result<Option<Tradable>> {
    let sql = "SELECT id, expires_at FROM credentials WHERE id = $1 AND kind = 'service_key' AND revoked_at IS NULL";
    Ok(Tradable::find_by_statement(from.sql(sql, [id.into()]))
        .one(from.conn())
        .await?)
}

/// Makes a token of an account for one of another issuer, which a rule let stand for it and which it ends with. The
/// caller journals.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn insert_traded(
    tx: &WriteTx,
    macs: &TokenMacKey,
    account: ServiceAccountId,
    rule: FederatedIdentityId,
    name: &str,
    expires_at: Timestamp,
    origin: &Origin,
) -> Result<(CredentialId, Token)> {
    let token = Token::generate(tx.rng(), TokenKind::ServiceKey)?;
    let row = credential::ActiveModel {
        id: Set(tx.new_id()?),
        kind: Set(TRADED.to_owned()),
        principal_type: Set("service_account".to_owned()),
        principal_id: Set(account.0),
        secret_mac: Set(macs.mac(&token).to_vec()),
        prefix: Set(token.prefix().to_owned()),
        last_four: Set(token.last_four().to_owned()),
        name: Set(name.to_owned()),
        scopes: Set(None),
        patterns: Set(None),
        org_id: Set(None),
        family_id: Set(Some(rule.0)),
        replaced_by: Set(None),
        auth_time: Set(None),
        amr: Set(None),
        ip: Set(origin.ip.clone()),
        user_agent: Set(origin.user_agent.clone()),
        created_at: Set(tx.now()),
        expires_at: Set(Some(expires_at)),
        idle_expires_at: Set(None),
        last_used_at: Set(None),
        revoked_at: Set(None),
    };
    let row = credential::Entity::insert(row).exec_with_returning(tx.conn()).await?;
    Ok((row.id, token))
}

/// Revokes what came of a rule. The caller journals.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn revoke_traded(tx: &WriteTx, rule: FederatedIdentityId) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $2 WHERE family_id = $1 AND kind = $3 AND revoked_at IS NULL";
    let values = [rule.into(), tx.now().into(), TRADED.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// Deletes tokens that were traded for others and have ended; returns how many.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn prune_traded(tx: &WriteTx) -> Result<u64> {
    let sql = "DELETE FROM credentials WHERE kind = $1 AND expires_at < $2";
    let values = [TRADED.into(), (tx.now() - KEPT).into()];
    let deleted = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(deleted.rows_affected())
}
