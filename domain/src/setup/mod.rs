//! The first administrator. Until there is one, each start of the api makes a one-time token and prints it: whoever
//! can read the log may set the instance up and become the administrator, and nobody else. An instance whose settings
//! name an administrator sets itself up instead.

use std::time::Duration;

use crate::access::Origin;
use crate::auth::challenge::{self, Purpose, Subject};
use crate::auth::register::{self, NewAccount, Registered, Registration};
use crate::auth::session::Transport;
use crate::auth::superusers;
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::UserId;
use crate::kernel::{Error, Problem, Reads, Result, WriteTx};

/// Nobody needs longer between two starts.
const TOKEN_TTL: Duration = Duration::from_hours(30 * 24);

/// Whether this instance still waits for its first administrator.
///
/// # Errors
/// [`Error::Db`].
pub async fn is_open(from: &impl Reads) -> Result<bool> {
    Ok(!superusers::is_any(from).await?)
}

/// Makes the one-time token; the one before stops working.
///
/// # Errors
/// [`Error::Db`].
pub async fn issue_token(tx: &WriteTx, macs: &TokenMacKey) -> Result<Token> {
    challenge::issue(tx, macs, Purpose::Setup, Subject::default(), TOKEN_TTL).await
}

fn refused() -> Error {
    let detail = "The instance has an administrator, or the setup token is not the newest one from the log.";
    Problem::forbidden(detail).into()
}

/// Asserts that the instance waits for its first administrator, and that this is its token. The token stays good.
///
/// # Errors
/// `forbidden` once there is an administrator, and for a token that is not the newest.
pub async fn require_token(from: &impl Reads, macs: &TokenMacKey, token: &str) -> Result<()> {
    if is_open(from).await? && challenge::is_good(from, macs, Purpose::Setup, token).await? {
        return Ok(());
    }
    Err(refused())
}

/// Makes the first administrator. Of those who try at once one succeeds, whatever tokens they have.
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
    superusers::lock(tx).await?;
    let used = challenge::consume(tx, keys.token_mac(), Purpose::Setup, token).await?;
    if used.is_none() || !is_open(tx).await? {
        return Err(refused());
    }
    let mut made = register::register(tx, keys, registration, password_hash, transport, origin).await?;
    superusers::set(tx, made.account.id, true).await?;
    made.account.is_superuser = true;
    Ok(made)
}

/// Makes the first administrator that the settings name, its address taken for proved. `None` when there is one already:
/// every start asks, and of several processes that start at once one makes it.
///
/// # Errors
/// `email_taken` when somebody registered with the address before there was an administrator.
pub async fn create_named_admin(
    tx: &WriteTx,
    keys: &KeyStore,
    registration: Registration,
    password_hash: String,
) -> Result<Option<UserId>> {
    superusers::lock(tx).await?;
    if !is_open(tx).await? {
        return Ok(None);
    }
    let Registration {
        email,
        first_name,
        last_name,
    } = registration;
    let new = NewAccount {
        email,
        verified: true,
        first_name,
        last_name,
        password_hash: Some(password_hash),
    };
    let (account, _, org) = register::create_account(tx, keys, new).await?;
    superusers::set(tx, account.id, true).await?;
    let entry = Entry::of_account(account.id, Action::UserRegistered, Target::User(account.id))
        .with("org_id", org.id.to_string())
        .with("is_superuser", true);
    journal::record(tx, &Origin::system(), entry).await?;
    Ok(Some(account.id))
}
