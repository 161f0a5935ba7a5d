//! Authorization codes: a minute, one trade. One that comes twice was stolen, so all that came of it ends.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::{OAuthClientId, OAuthGrantId};
use crate::kernel::{Reads, Result, WriteTx};

/// How long a code can be traded. Source: ASVS 5.0, 10.4.3.
const TTL: Duration = Duration::from_mins(1);

/// Makes a code.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn issue(
    tx: &WriteTx,
    macs: &TokenMacKey,
    grant: OAuthGrantId,
    client: OAuthClientId,
    redirect_uri: &str,
    challenge: &str,
) -> Result<Token> {
    let token = Token::generate(tx.rng(), TokenKind::AuthorizationCode)?;
    let sql =
        "INSERT INTO oauth_codes (code_mac, grant_id, client_id, redirect_uri, code_challenge, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = [
        macs.mac(&token).to_vec().into(),
        grant.into(),
        client.into(),
        redirect_uri.into(),
        challenge.into(),
        tx.now().into(),
        (tx.now() + TTL).into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(token)
}

/// A code that was shown.
#[derive(FromQueryResult)]
pub struct Shown {
    pub grant_id: OAuthGrantId,
    pub client_id: OAuthClientId,
    pub redirect_uri: String,
    pub code_challenge: String,
}

/// What became of showing a code.
pub enum Used {
    /// It is used up now.
    Now(Shown),
    /// It was used before.
    Before(Shown),
}

/// Uses a code up; `None` for one that is unknown or too old. Of two that use it at once, one is first.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn consume(tx: &WriteTx, macs: &TokenMacKey, text: &str) -> Result<Option<Used>> {
    let Some(token) = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::AuthorizationCode)
    else {
        return Ok(None);
    };
    let mac = macs.mac(&token).to_vec();
    let sql = "UPDATE oauth_codes SET used_at = $2 WHERE code_mac = $1 AND used_at IS NULL AND expires_at > $2
               RETURNING grant_id, client_id, redirect_uri, code_challenge";
    let now = Shown::find_by_statement(tx.sql(sql, [mac.clone().into(), tx.now().into()]))
        .one(tx.conn())
        .await?;
    if let Some(shown) = now {
        return Ok(Some(Used::Now(shown)));
    }
    let sql = "SELECT grant_id, client_id, redirect_uri, code_challenge FROM oauth_codes
               WHERE code_mac = $1 AND used_at IS NOT NULL";
    let before = Shown::find_by_statement(tx.sql(sql, [mac.into()]))
        .one(tx.conn())
        .await?;
    Ok(before.map(Used::Before))
}
