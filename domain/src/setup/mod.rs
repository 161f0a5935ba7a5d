//! The first administrator. Until there is one, each start of the api makes a one-time token and prints it: whoever
//! can read the log may become the administrator, and nobody else.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::access::Origin;
use crate::auth::challenge::{self, Purpose, Subject};
use crate::auth::register::{self, Registered, Registration};
use crate::auth::session::Transport;
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::{Token, TokenMacKey};
use crate::kernel::{Error, Problem, Reads, Result, WriteTx};

/// Nobody needs longer between two starts.
const TOKEN_TTL: Duration = Duration::from_hours(30 * 24);

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
    challenge::issue(tx, macs, Purpose::Setup, Subject::default(), TOKEN_TTL).await
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
    let used = challenge::consume(tx, keys.token_mac(), Purpose::Setup, token).await?;
    if used.is_none() || !is_open(tx).await? {
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
