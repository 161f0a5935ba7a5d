//! The secrets of OAuth clients. An old one may go on for some hours, so that it can be replaced without an
//! interruption.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};

use super::entity::credential;
use crate::access::Origin;
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::OAuthClientId;
use crate::kernel::{Reads, Result, WriteTx};

/// The `kind` of its rows.
const KIND: &str = "client_secret";

/// Makes a secret; those before end after `overlap`. The caller journals.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn replace(
    tx: &WriteTx,
    macs: &TokenMacKey,
    client: OAuthClientId,
    overlap: Duration,
    origin: &Origin,
) -> Result<Token> {
    let sql = "UPDATE credentials SET expires_at = $3
               WHERE principal_id = $1 AND kind = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)";
    let values = [client.into(), KIND.into(), (tx.now() + overlap).into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    let token = Token::generate(tx.rng(), TokenKind::ClientSecret)?;
    let row = credential::ActiveModel {
        id: Set(tx.new_id()?),
        kind: Set(KIND.to_owned()),
        principal_type: Set("oauth_client".to_owned()),
        principal_id: Set(client.0),
        secret_mac: Set(macs.mac(&token).to_vec()),
        prefix: Set(token.prefix().to_owned()),
        last_four: Set(token.last_four().to_owned()),
        name: Set(String::new()),
        scopes: Set(None),
        patterns: Set(None),
        org_id: Set(None),
        family_id: Set(None),
        replaced_by: Set(None),
        auth_time: Set(None),
        amr: Set(None),
        ip: Set(origin.ip.clone()),
        user_agent: Set(origin.user_agent.clone()),
        created_at: Set(tx.now()),
        expires_at: Set(None),
        idle_expires_at: Set(None),
        last_used_at: Set(None),
        revoked_at: Set(None),
    };
    credential::Entity::insert(row)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(token)
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Whether a text is a secret of this client that works. It is looked up by its keyed hash, so nothing is compared that
/// could be timed.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn is_of(from: &impl Reads, macs: &TokenMacKey, client: OAuthClientId, text: &str) -> Result<bool> {
    let Some(token) = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::ClientSecret)
    else {
        return Ok(false);
    };
    let sql = "SELECT COUNT(*) AS n FROM credentials
               WHERE secret_mac = $1 AND principal_id = $2 AND kind = $3 AND revoked_at IS NULL
                 AND (expires_at IS NULL OR expires_at > $4)";
    let values = [
        macs.mac(&token).to_vec().into(),
        client.into(),
        KIND.into(),
        from.now().into(),
    ];
    let count = Count::find_by_statement(from.sql(sql, values)).one(from.conn()).await?;
    Ok(count.is_some_and(|count| count.n > 0))
}

/// Ends everything that a client shows or was given: its secrets, and its own tokens. The caller journals.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn end_all(tx: &WriteTx, client: OAuthClientId) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $2 WHERE principal_id = $1 AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [client.into(), tx.now().into()]))
        .await?;
    Ok(())
}
