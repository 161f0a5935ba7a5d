//! The first administrator. Until there is one, each start of the api makes a one-time token and prints it: whoever
//! can read the log may become the administrator, and nobody else.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};

use crate::access::Origin;
use crate::auth::entity::challenge;
use crate::auth::register::{self, Registered, Registration};
use crate::auth::session::Transport;
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::{Error, Problem, Reads, Result, WriteTx};

const PURPOSE: &str = "setup";
/// Nobody needs longer between two starts.
const TOKEN_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Whether this instance still waits for its first administrator.
///
/// # Errors
/// [`Error::Db`].
pub async fn is_open(from: &impl Reads) -> Result<bool> {
    let sql = "SELECT COUNT(*) AS n FROM users WHERE is_superuser";
    let count = Count::find_by_statement(from.sql(sql, [])).one(from.conn()).await?;
    Ok(count.is_none_or(|count| count.n == 0))
}

/// Makes the one-time token; the one before stops working.
///
/// # Errors
/// [`Error::Db`].
pub async fn issue_token(tx: &WriteTx, macs: &TokenMacKey) -> Result<Token> {
    let token = Token::generate(tx.rng(), TokenKind::Setup)?;
    let sql = "UPDATE challenges SET consumed_at = $2 WHERE purpose = $1 AND consumed_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [PURPOSE.into(), tx.now().into()]))
        .await?;
    let row = challenge::ActiveModel {
        id: Set(tx.new_id()?),
        purpose: Set(PURPOSE.to_owned()),
        user_id: Set(None),
        email_id: Set(None),
        secret_mac: Set(macs.mac(&token).to_vec()),
        attempts: Set(0),
        created_at: Set(tx.now()),
        expires_at: Set(tx.now() + TOKEN_TTL),
        consumed_at: Set(None),
    };
    challenge::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(token)
}

/// Makes the first administrator. Of two who try at once one succeeds.
///
/// # Errors
/// `forbidden` once there is one, and for a token that is not the newest.
pub async fn create_admin(
    tx: &WriteTx,
    keys: &KeyStore,
    token: &str,
    registration: Registration,
    password_hash: String,
    transport: Transport,
    origin: &Origin,
) -> Result<Registered> {
    let refused = || {
        Problem::forbidden("The instance has an administrator, or the setup token is not the newest one from the log.")
    };
    let token = Token::parse(token)
        .ok()
        .filter(|token| token.kind() == TokenKind::Setup)
        .ok_or_else(refused)?;
    // The condition lets one of two racers through; the other finds the token used.
    let sql = "UPDATE challenges SET consumed_at = $3
               WHERE secret_mac = $1 AND purpose = $2 AND consumed_at IS NULL AND expires_at > $3";
    let values = [
        keys.token_mac().mac(&token).to_vec().into(),
        PURPOSE.into(),
        tx.now().into(),
    ];
    let used = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    if used.rows_affected() != 1 || !is_open(tx).await? {
        return Err(refused().into());
    }
    let mut made = register::register(tx, keys, registration, password_hash, transport, origin).await?;
    let sql = "UPDATE users SET is_superuser = TRUE WHERE id = $1";
    let raised = tx.conn().execute_raw(tx.sql(sql, [made.account.id.into()])).await?;
    if raised.rows_affected() != 1 {
        return Err(Error::internal("the administrator's account is missing"));
    }
    made.account.is_superuser = true;
    Ok(made)
}
