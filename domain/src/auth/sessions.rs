//! The sessions of an account: seeing and ending them, and what a proof does to the one that it was shown in. A
//! session is a family of credentials: an access token, and with bearer transport the refresh tokens that follow.

use std::collections::BTreeMap;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter};
use uuid::Uuid;

use super::account;
use super::amr::{Amr, Method};
use super::authenticate;
use super::entity::credential;
use super::pending;
use super::second_factor;
use super::session::Transport;
use crate::access::Caller;
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{SessionId, UserId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};
use crate::oauth::grant;

/// A session, as its person sees it.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    /// Whether it is the one that asks.
    pub is_current: bool,
    pub transport: Transport,
    pub amr: Amr,
    /// Where it was last opened or prolonged.
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

#[derive(FromQueryResult)]
struct Began {
    family_id: Uuid,
    began: Timestamp,
}

/// The caller's sessions that are live, newest first.
///
/// # Errors
/// `session_required`.
pub async fn list(from: &impl Reads, caller: &Caller, page: PageRequest) -> Result<Page<Session>> {
    let user = caller.session_user()?;
    let mut families: BTreeMap<Uuid, Vec<credential::Model>> = BTreeMap::new();
    for row in live(from, user).await? {
        families.entry(row.family_id.unwrap_or(row.id.0)).or_default().push(row);
    }
    let sql = "SELECT family_id, MIN(created_at) AS began FROM credentials
               WHERE principal_id = $1 AND family_id IS NOT NULL GROUP BY family_id";
    let began = Began::find_by_statement(from.sql(sql, [user.into()]))
        .all(from.conn())
        .await?;
    let began: BTreeMap<_, _> = began.into_iter().map(|row| (row.family_id, row.began)).collect();
    let shown = families.into_iter().map(|(family, rows)| {
        let first = began.get(&family).copied();
        session(caller, family, first, &rows)
    });
    let mut sessions = shown.collect::<Result<Vec<_>>>()?;
    sessions.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id)));
    Ok(Page::of(sessions, page))
}

/// Credentials of live sessions. A refresh token that was traded waits for its thief; it is no session.
async fn live(from: &impl Reads, user: UserId) -> Result<Vec<credential::Model>> {
    let now = from.now();
    Ok(credential::Entity::find()
        .filter(credential::Column::PrincipalId.eq(user.0))
        .filter(credential::Column::Kind.is_in(["session", "refresh"]))
        .filter(credential::Column::RevokedAt.is_null())
        .filter(credential::Column::ReplacedBy.is_null())
        .filter(credential::Column::ExpiresAt.gt(now))
        .filter(
            credential::Column::IdleExpiresAt
                .is_null()
                .or(credential::Column::IdleExpiresAt.gt(now)),
        )
        .all(from.conn())
        .await?)
}

fn session(caller: &Caller, family: Uuid, began: Option<Timestamp>, rows: &[credential::Model]) -> Result<Session> {
    let newest = rows
        .iter()
        .max_by_key(|row| row.created_at)
        .ok_or_else(|| Error::internal("a session without credentials"))?;
    let is_bearer = rows.iter().any(|row| row.kind == "refresh");
    Ok(Session {
        id: SessionId(family),
        is_current: rows.iter().any(|row| row.id == caller.credential),
        transport: if is_bearer {
            Transport::Bearer
        } else {
            Transport::Cookie
        },
        amr: Amr::from_column(newest.amr.as_deref())?,
        ip: newest.ip.clone(),
        user_agent: newest.user_agent.clone(),
        created_at: began.unwrap_or(newest.created_at),
        last_used_at: rows.iter().filter_map(|row| row.last_used_at).max(),
        expires_at: rows.iter().filter_map(|row| row.expires_at).max(),
    })
}

/// Ends one of the caller's sessions: access and refresh tokens are refused from the next request on.
///
/// # Errors
/// `not_found` for a session that is none of the caller's, or over; `session_required`.
pub async fn revoke(tx: &WriteTx, caller: &Caller, id: &str) -> Result<()> {
    let user = caller.session_user()?;
    let id: SessionId = id.parse().map_err(|_| Problem::not_found())?;
    account::lock(tx, user).await?;
    let rows = live(tx, user).await?;
    if !rows.iter().any(|row| row.family_id == Some(id.0)) {
        return Err(Problem::not_found().into());
    }
    let sql = "UPDATE credentials SET revoked_at = $3
               WHERE principal_id = $1 AND family_id = $2 AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [user.into(), id.into(), tx.now().into()]))
        .await?;
    let entry = Entry::of_account(user, Action::SessionRevoked, Target::Session(id.0));
    journal::record(tx, &caller.origin, entry).await?;
    Ok(())
}

/// Ends every session of the caller's but this one; returns how many. Journaled unless there was none.
///
/// # Errors
/// `session_required`.
pub async fn revoke_others(tx: &WriteTx, caller: &Caller) -> Result<usize> {
    let user = caller.session_user()?;
    account::lock(tx, user).await?;
    let current = family(tx, caller).await?;
    let mut others: Vec<_> = live(tx, user)
        .await?
        .into_iter()
        .filter_map(|row| row.family_id)
        .collect();
    others.retain(|family| *family != current);
    others.sort_unstable();
    others.dedup();
    if others.is_empty() {
        return Ok(0);
    }
    end_others(tx, caller).await?;
    let entry = Entry::of_account(user, Action::SessionRevoked, Target::User(user)).with("sessions", others.len());
    journal::record(tx, &caller.origin, entry).await?;
    Ok(others.len())
}

/// The caller's session, as its list shows it.
pub(super) async fn family(from: &impl Reads, caller: &Caller) -> Result<Uuid> {
    let row = credential::Entity::find_by_id(caller.credential)
        .one(from.conn())
        .await?;
    let family = row.and_then(|row| row.family_id);
    family.ok_or_else(|| Error::internal("a session without a family"))
}

/// Ends every session of the caller's account but this one, with the sign-ins that wait for a second factor; the
/// caller has locked the account, and journals. Personal tokens go on: they have owners of their own to look after them.
pub(super) async fn end_others(tx: &WriteTx, caller: &Caller) -> Result<()> {
    let user = caller.session_user()?;
    let sql = "UPDATE credentials SET revoked_at = $3
               WHERE principal_id = $1 AND kind IN ('session', 'refresh') AND revoked_at IS NULL
                 AND (family_id IS NULL OR family_id <> (SELECT family_id FROM credentials WHERE id = $2))";
    let values = [user.into(), caller.credential.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    grant::end_of_user(tx, user).await?;
    pending::end_all(tx, user).await
}

/// Ends every session of an account, with what clients were let do and the sign-ins that wait for a second factor; the caller has locked the account,
/// and journals.
///
/// # Errors
/// [`Error::Db`].
pub async fn end_all(tx: &WriteTx, user: UserId) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $2
               WHERE principal_id = $1 AND kind IN ('session', 'refresh') AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [user.into(), tx.now().into()]))
        .await?;
    grant::end_of_user(tx, user).await?;
    pending::end_all(tx, user).await
}

/// Gives a session that a cookie carries a new token, for whoever proved who they are: the old one is refused from the
/// next request on, so that whoever planted or copied it is left behind. `None` for a session that is prolonged with
/// refresh tokens: it gets new tokens every hour. Source: ASVS 5.0, 7.2.4.
pub(super) async fn renew(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller) -> Result<Option<Token>> {
    let token = Token::generate(tx.rng(), TokenKind::Session)?;
    // Only those of cookies end by resting.
    let sql = "UPDATE credentials SET secret_mac = $2, last_four = $3
               WHERE id = $1 AND idle_expires_at IS NOT NULL AND revoked_at IS NULL";
    let values = [
        caller.credential.into(),
        macs.mac(&token).to_vec().into(),
        token.last_four().into(),
    ];
    let renewed = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok((renewed.rows_affected() == 1).then_some(token))
}

/// Notes in the caller's session that its person has just proved who they are, and how. Returns the new token that goes
/// into its cookie, if it has one: see [`renew`].
pub(super) async fn proved(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller, method: Method) -> Result<Option<Token>> {
    let amr = amr(tx, caller).await?.with(method);
    let sql = "UPDATE credentials SET amr = $2, auth_time = $3
               WHERE revoked_at IS NULL AND family_id = (SELECT family_id FROM credentials WHERE id = $1)";
    let values = [caller.credential.into(), amr.to_column()?.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    renew(tx, macs, caller).await
}

/// Notes in the caller's session that the account has no second factor any more.
pub(super) async fn forget_second_factor(tx: &WriteTx, caller: &Caller) -> Result<()> {
    let amr = amr(tx, caller).await?.without_second_factor();
    let sql = "UPDATE credentials SET amr = $2
               WHERE revoked_at IS NULL AND family_id = (SELECT family_id FROM credentials WHERE id = $1)";
    let values = [caller.credential.into(), amr.to_column()?.into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

/// The caller as they are now, in a session that goes on, their account locked until the transaction ends: what ends
/// sessions, switches accounts off or changes second factors waits, or was first. For what was asked a while ago and is
/// decided now.
///
/// # Errors
/// `unauthenticated` when the session has ended meanwhile, or does not show the second factor that the account has now;
/// `session_required`.
pub async fn hold(tx: &WriteTx, caller: &Caller) -> Result<Caller> {
    let user = caller.session_user()?;
    match account::lock(tx, user).await {
        Err(error) if error.code() == Some(ProblemCode::NotFound) => return Err(authenticate::refused()),
        standing => standing?,
    };
    let now = authenticate::again(tx, caller).await?;
    if second_factor::is_on(tx, user).await? && !now.has_second_factor {
        return Err(authenticate::refused());
    }
    Ok(now)
}

/// How the caller's session was signed in to.
///
/// # Errors
/// [`Error::Db`].
pub async fn methods(from: &impl Reads, caller: &Caller) -> Result<Amr> {
    amr(from, caller).await
}

async fn amr(from: &impl Reads, caller: &Caller) -> Result<Amr> {
    let row = credential::Entity::find_by_id(caller.credential)
        .one(from.conn())
        .await?;
    Amr::from_column(row.as_ref().and_then(|row| row.amr.as_deref()))
}
