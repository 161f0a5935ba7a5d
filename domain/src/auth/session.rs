//! Signing in and out, and prolonging a session with a refresh token.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::account::{self, Account};
use super::authenticate::IDLE_TTL;
use super::entity::credential;
use super::new_sign_in;
use crate::access::{Caller, Origin};
use crate::crypto::password::{Passwords, Verdict};
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{CredentialId, UserId};
use crate::kernel::{Db, Problem, ProblemCode, Reads, Result, Secret, Timestamp, WriteTx};

/// A cookie session ends after this long, however busy. Source: ASVS 5.0, 7.3.
const SESSION_TTL: Duration = Duration::from_hours(30 * 24);
/// A bearer access token's life.
pub const ACCESS_TTL: Duration = Duration::from_hours(1);
/// A refresh token's life; each use starts a new one.
const REFRESH_TTL: Duration = Duration::from_hours(90 * 24);
/// A client whose answer was lost may use its refresh token once more within this time.
const LOST_ANSWER: Duration = Duration::from_secs(30);

/// How the client carries its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Cookie,
    Bearer,
}

/// A new session's tokens, shown once.
pub struct SessionTokens {
    pub access: Token,
    /// Bearer only.
    pub refresh: Option<Token>,
    pub expires_at: Timestamp,
}

fn wrong_details() -> Problem {
    Problem::new(
        ProblemCode::InvalidCredentials,
        "E-mail, username or password is wrong.",
    )
}

/// Checks name and password. An unknown name costs the same and says the same as a wrong password.
///
/// # Errors
/// `invalid_credentials`.
pub async fn check_password(db: &Db, passwords: &Passwords, name: &str, password: Secret<String>) -> Result<Account> {
    let found = account::find_by_login(db, &name.trim().to_ascii_lowercase())
        .await?
        .filter(|account| account.disabled_at.is_none());
    let hash = found.as_ref().and_then(|account| account.password_hash.clone());
    let verdict = passwords.verify(password.clone(), hash).await?;
    match (verdict, found) {
        (Verdict::Right, Some(account)) => Ok(account),
        (Verdict::RightButOutdated, Some(account)) => {
            rehash(db, passwords, &account, password).await?;
            Ok(account)
        }
        (Verdict::Wrong, _) | (Verdict::Right | Verdict::RightButOutdated, None) => Err(wrong_details().into()),
    }
}

/// Stores the password under today's parameters.
async fn rehash(db: &Db, passwords: &Passwords, account: &Account, password: Secret<String>) -> Result<()> {
    let hash = passwords.hash(password).await?;
    let tx = db.begin_write().await?;
    let sql = "UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3";
    tx.conn()
        .execute_raw(tx.sql(
            sql,
            [account.id.into(), hash.into(), account.password_hash.clone().into()],
        ))
        .await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}

/// Opens a session for a person who has just proved who they are, and journals the sign-in.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn sign_in(
    tx: &WriteTx,
    macs: &TokenMacKey,
    account: &Account,
    transport: Transport,
    origin: &Origin,
) -> Result<SessionTokens> {
    new_sign_in::tell(tx, account, origin).await?;
    let (id, tokens) = open(tx, macs, account.id, transport, tx.new_id()?, Some(tx.now()), origin).await?;
    let sql = "UPDATE users SET last_login_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [account.id.into(), tx.now().into()]))
        .await?;
    let mut origin = origin.clone().by_user(account.id, &account.email);
    origin.credential = Some(id);
    journal::record(
        tx,
        &origin,
        Entry::of_account(account.id, Action::SessionCreated, Target::Session(id.0)),
    )
    .await?;
    Ok(tokens)
}

/// Inserts the credentials of a session; the caller journals. `auth_time` is when the person last proved who they are:
/// prolonging a session proves nothing.
pub(super) async fn open(
    tx: &WriteTx,
    macs: &TokenMacKey,
    user: UserId,
    transport: Transport,
    family: Uuid,
    auth_time: Option<Timestamp>,
    origin: &Origin,
) -> Result<(CredentialId, SessionTokens)> {
    let now = tx.now();
    let access = Token::generate(tx.rng(), TokenKind::Session)?;
    let (expires_at, idle) = match transport {
        Transport::Cookie => (now + SESSION_TTL, Some(now + IDLE_TTL)),
        Transport::Bearer => (now + ACCESS_TTL, None),
    };
    let id = insert(
        tx, macs, &access, "session", user, family, auth_time, expires_at, idle, origin,
    )
    .await?;
    let refresh = match transport {
        Transport::Cookie => None,
        Transport::Bearer => {
            let refresh = Token::generate(tx.rng(), TokenKind::Refresh)?;
            insert(
                tx,
                macs,
                &refresh,
                "refresh",
                user,
                family,
                auth_time,
                now + REFRESH_TTL,
                None,
                origin,
            )
            .await?;
            Some(refresh)
        }
    };
    Ok((
        id,
        SessionTokens {
            access,
            refresh,
            expires_at,
        },
    ))
}

#[expect(
    clippy::too_many_arguments,
    reason = "the columns of one row, named at the only two calls"
)]
async fn insert(
    tx: &WriteTx,
    macs: &TokenMacKey,
    token: &Token,
    kind: &str,
    user: UserId,
    family: Uuid,
    auth_time: Option<Timestamp>,
    expires_at: Timestamp,
    idle_expires_at: Option<Timestamp>,
    origin: &Origin,
) -> Result<CredentialId> {
    let id: CredentialId = tx.new_id()?;
    let row = credential::ActiveModel {
        id: Set(id),
        kind: Set(kind.to_owned()),
        principal_type: Set("user".to_owned()),
        principal_id: Set(user.0),
        secret_mac: Set(macs.mac(token).to_vec()),
        prefix: Set(token.prefix().to_owned()),
        last_four: Set(token.last_four().to_owned()),
        name: Set(String::new()),
        scopes: Set(None),
        patterns: Set(None),
        org_id: Set(None),
        family_id: Set(Some(family)),
        replaced_by: Set(None),
        auth_time: Set(auth_time),
        amr: Set(None),
        ip: Set(origin.ip.clone()),
        user_agent: Set(origin.user_agent.clone()),
        created_at: Set(tx.now()),
        expires_at: Set(Some(expires_at)),
        idle_expires_at: Set(idle_expires_at),
        last_used_at: Set(None),
        revoked_at: Set(None),
    };
    credential::Entity::insert(row)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(id)
}

/// Ends the caller's session, its refresh token included.
///
/// # Errors
/// `session_required` for an API token.
pub async fn sign_out(tx: &WriteTx, caller: &Caller) -> Result<()> {
    let user = caller.session_user()?;
    let sql = "UPDATE credentials SET revoked_at = $2
               WHERE revoked_at IS NULL AND family_id = (SELECT family_id FROM credentials WHERE id = $1)";
    tx.conn()
        .execute_raw(tx.sql(sql, [caller.credential.into(), tx.now().into()]))
        .await?;
    let entry = Entry::of_account(user, Action::SessionRevoked, Target::Session(caller.credential.0));
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// What a refresh came to.
pub enum Refreshed {
    Tokens(Box<Account>, SessionTokens),
    /// The token had been used before: whoever holds the family, it is ended. Commit this too.
    ReuseDetected,
}

/// Trades a refresh token for new tokens. A token that was traded before ends the whole family, unless the answer to
/// the first trade was lost: within 30 seconds, and only while the successor was never used.
///
/// # Errors
/// `unauthenticated` for a token that is no live refresh token.
pub async fn refresh(tx: &WriteTx, macs: &TokenMacKey, text: &str, origin: &Origin) -> Result<Refreshed> {
    let refused = || {
        Problem::new(
            ProblemCode::Unauthenticated,
            "The refresh token is unknown, expired or revoked. Sign in again.",
        )
    };
    let token = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::Refresh)
        .ok_or_else(refused)?;
    let row = locked_refresh(tx, &macs.mac(&token)).await?.ok_or_else(refused)?;
    let family = row.family_id.ok_or_else(refused)?;
    if row.revoked_at.is_some() || row.expires_at.is_some_and(|end| end <= tx.now()) {
        return Err(refused().into());
    }
    let account = account::get(tx, UserId(row.principal_id)).await?;
    if account.disabled_at.is_some() {
        return Err(refused().into());
    }
    let origin = origin.clone().by_user(account.id, &account.email);
    if let Some(successor) = row.replaced_by
        && !answer_was_lost(tx, successor).await?
    {
        return end_family(tx, &account, family, &origin).await;
    }
    revoke_family_but(tx, family, row.id).await?;
    let (id, tokens) = open(tx, macs, account.id, Transport::Bearer, family, row.auth_time, &origin).await?;
    let sql = "UPDATE credentials SET replaced_by = $2, last_used_at = $3 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [row.id.into(), id.into(), tx.now().into()]))
        .await?;
    journal::record(
        tx,
        &origin,
        Entry::of_account(account.id, Action::SessionRefreshed, Target::Session(id.0)),
    )
    .await?;
    Ok(Refreshed::Tokens(Box::new(account), tokens))
}

/// The row of a refresh token, locked: of two that trade it at once, the second sees what the first did.
async fn locked_refresh(tx: &WriteTx, mac: &[u8]) -> Result<Option<credential::Model>> {
    use sea_orm::QuerySelect;
    let query = credential::Entity::find()
        .filter(credential::Column::SecretMac.eq(mac.to_vec()))
        .filter(credential::Column::Kind.eq("refresh"));
    // SQLite has no row locks and needs none: the transaction holds the only write lock.
    let query = match tx.backend() {
        crate::kernel::Backend::Postgres => query.lock_exclusive(),
        crate::kernel::Backend::Sqlite => query,
    };
    Ok(query.one(tx.conn()).await?)
}

async fn answer_was_lost(tx: &WriteTx, successor: CredentialId) -> Result<bool> {
    let successor = credential::Entity::find_by_id(successor).one(tx.conn()).await?;
    Ok(successor.is_some_and(|row| {
        row.last_used_at.is_none() && row.revoked_at.is_none() && tx.now().since(row.created_at) <= LOST_ANSWER
    }))
}

async fn revoke_family_but(tx: &WriteTx, family: Uuid, keep: CredentialId) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $3 WHERE family_id = $1 AND id <> $2 AND revoked_at IS NULL AND replaced_by IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [family.into(), keep.into(), tx.now().into()]))
        .await?;
    Ok(())
}

async fn end_family(tx: &WriteTx, account: &Account, family: Uuid, origin: &Origin) -> Result<Refreshed> {
    let sql = "UPDATE credentials SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [family.into(), tx.now().into()]))
        .await?;
    let entry = Entry::of_account(account.id, Action::SessionReuseDetected, Target::Session(family));
    journal::record(tx, origin, entry).await?;
    Ok(Refreshed::ReuseDetected)
}
