//! Beginning and ending a session.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::account::{self, Account};
use super::amr::{Amr, Method};
use super::authenticate::IDLE_TTL;
use super::entity::credential;
use super::new_sign_in;
use super::pending::{self, Pending};
use super::second_factor;
use super::sessions;
use crate::access::{Caller, Origin};
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{CredentialId, UserId};
use crate::kernel::{Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// A cookie session ends after this long, however busy. Source: ASVS 5.0, 7.3.
const SESSION_TTL: Duration = Duration::from_hours(30 * 24);
/// A bearer access token's life.
pub const ACCESS_TTL: Duration = Duration::from_hours(1);
/// A session that is prolonged with refresh tokens ends after this long, however often it was. Source: ASVS 5.0, 10.4.8.
const REFRESH_TTL: Duration = Duration::from_hours(90 * 24);

/// How the client carries its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// What a first factor came to.
pub enum Begun {
    /// The person is signed in. The sign-in is journaled.
    Session(SessionTokens),
    /// The account has a second factor, which is to be shown next. Nothing is journaled yet.
    SecondFactorNeeded(Pending),
}

/// Begins a session for a person who has just shown one factor, unless the account has a second. Every way to sign
/// in comes through here, so none leads past the second factor. `account` is as it was when the factor was checked.
///
/// # Errors
/// `invalid_credentials` when the account was disabled or its credentials changed since it was loaded.
pub async fn begin(
    tx: &WriteTx,
    macs: &TokenMacKey,
    account: &Account,
    transport: Transport,
    shown: Method,
    origin: &Origin,
) -> Result<Begun> {
    // Locked, so that it is not opened beside a change of password or second factor that ends all sessions.
    let now = account::lock(tx, account.id).await?;
    if now.auth_epoch != account.auth_epoch || now.disabled_at.is_some() {
        let detail = "The account has changed meanwhile. Sign in again.";
        return Err(Problem::new(ProblemCode::InvalidCredentials, detail).into());
    }
    let amr = Amr::of(shown);
    if second_factor::is_on(tx, account.id).await? {
        let pending = pending::wait(tx, macs, account.id, transport, amr).await?;
        return Ok(Begun::SecondFactorNeeded(pending));
    }
    Ok(Begun::Session(
        sign_in(tx, macs, account, transport, &amr, origin).await?,
    ))
}

/// Opens a session for a person who has shown every factor, and journals the sign-in.
pub(super) async fn sign_in(
    tx: &WriteTx,
    macs: &TokenMacKey,
    account: &Account,
    transport: Transport,
    amr: &Amr,
    origin: &Origin,
) -> Result<SessionTokens> {
    new_sign_in::tell(tx, account, origin).await?;
    let family = tx.new_id()?;
    let session = NewSession {
        user: account.id,
        transport,
        family,
        auth_time: Some(tx.now()),
        amr,
        ends_at: None,
    };
    let opened = open(tx, macs, session, origin).await?;
    let sql = "UPDATE users SET last_login_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [account.id.into(), tx.now().into()]))
        .await?;
    let mut origin = origin.clone().by_user(account.id, &account.email);
    origin.credential = Some(opened.access);
    let entry =
        Entry::of_account(account.id, Action::SessionCreated, Target::Session(family)).with("methods", amr.names());
    journal::record(tx, &origin, entry).await?;
    Ok(opened.tokens)
}

/// A session to be opened, or a part of one to be replaced.
pub(super) struct NewSession<'a> {
    pub user: UserId,
    pub transport: Transport,
    pub family: Uuid,
    /// When the person last proved who they are: prolonging a session proves nothing.
    pub auth_time: Option<Timestamp>,
    pub amr: &'a Amr,
    /// When it ends, however it is prolonged; `None` for one that begins now.
    pub ends_at: Option<Timestamp>,
}

/// The tokens of a session, before they are stored.
pub(super) struct Pair {
    pub(super) access: Token,
    /// Bearer only.
    pub(super) refresh: Option<Token>,
}

impl Pair {
    fn draw(tx: &WriteTx, transport: Transport) -> Result<Self> {
        let refresh = match transport {
            Transport::Cookie => None,
            Transport::Bearer => Some(Token::generate(tx.rng(), TokenKind::Refresh)?),
        };
        Ok(Self {
            access: Token::generate(tx.rng(), TokenKind::Session)?,
            refresh,
        })
    }
}

/// A session that was opened, or a part of one.
pub(super) struct Opened {
    /// The credential of the access token.
    pub(super) access: CredentialId,
    /// That of the refresh token.
    pub(super) refresh: Option<CredentialId>,
    pub(super) tokens: SessionTokens,
}

/// Inserts the credentials of a session, with tokens drawn by lot; the caller journals.
pub(super) async fn open(tx: &WriteTx, macs: &TokenMacKey, session: NewSession<'_>, origin: &Origin) -> Result<Opened> {
    let pair = Pair::draw(tx, session.transport)?;
    open_with(tx, macs, session, pair, origin).await
}

/// The same, with these tokens.
pub(super) async fn open_with(
    tx: &WriteTx,
    macs: &TokenMacKey,
    session: NewSession<'_>,
    pair: Pair,
    origin: &Origin,
) -> Result<Opened> {
    let now = tx.now();
    let Pair { access, refresh } = pair;
    let ends_at = session.ends_at.unwrap_or(now + REFRESH_TTL);
    let (expires_at, idle) = match session.transport {
        Transport::Cookie => (now + SESSION_TTL, Some(now + IDLE_TTL)),
        Transport::Bearer => (ends_at.min(now + ACCESS_TTL), None),
    };
    let row = row(tx, macs, &session, origin, &access)?;
    let id: CredentialId = tx.new_id()?;
    let mut rows = vec![credential::ActiveModel {
        id: Set(id),
        kind: Set("session".to_owned()),
        expires_at: Set(Some(expires_at)),
        idle_expires_at: Set(idle),
        ..row
    }];
    let refresh_id: Option<CredentialId> = refresh.as_ref().map(|_| tx.new_id()).transpose()?;
    if let (Some(refresh), Some(id)) = (&refresh, refresh_id) {
        rows.push(credential::ActiveModel {
            id: Set(id),
            kind: Set("refresh".to_owned()),
            expires_at: Set(Some(ends_at)),
            idle_expires_at: Set(None),
            ..self::row(tx, macs, &session, origin, refresh)?
        });
    }
    credential::Entity::insert_many(rows)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(Opened {
        access: id,
        refresh: refresh_id,
        tokens: SessionTokens {
            access,
            refresh,
            expires_at,
        },
    })
}

/// What the rows of one session have in common, with the token of one of them.
fn row(
    tx: &WriteTx,
    macs: &TokenMacKey,
    session: &NewSession<'_>,
    origin: &Origin,
    token: &Token,
) -> Result<credential::ActiveModel> {
    let NewSession {
        user,
        transport: _,
        family,
        auth_time,
        amr,
        ends_at: _,
    } = session;
    Ok(credential::ActiveModel {
        principal_type: Set("user".to_owned()),
        principal_id: Set(user.0),
        secret_mac: Set(macs.mac(token).to_vec()),
        prefix: Set(token.prefix().to_owned()),
        last_four: Set(token.last_four().to_owned()),
        name: Set(String::new()),
        scopes: Set(None),
        patterns: Set(None),
        org_id: Set(None),
        family_id: Set(Some(*family)),
        replaced_by: Set(None),
        auth_time: Set(*auth_time),
        amr: Set(Some(amr.to_column()?)),
        ip: Set(origin.ip.clone()),
        user_agent: Set(origin.user_agent.clone()),
        created_at: Set(tx.now()),
        last_used_at: Set(None),
        revoked_at: Set(None),
        ..Default::default()
    })
}

/// Ends the caller's session, its refresh token included.
///
/// # Errors
/// `session_required` for an API token.
pub async fn sign_out(tx: &WriteTx, caller: &Caller) -> Result<()> {
    let user = caller.session_user()?;
    account::lock(tx, user).await?;
    let sql = "UPDATE credentials SET revoked_at = $2
               WHERE revoked_at IS NULL AND family_id = (SELECT family_id FROM credentials WHERE id = $1)";
    tx.conn()
        .execute_raw(tx.sql(sql, [caller.credential.into(), tx.now().into()]))
        .await?;
    let family = sessions::family(tx, caller).await?;
    let entry = Entry::of_account(user, Action::SessionRevoked, Target::Session(family));
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}
