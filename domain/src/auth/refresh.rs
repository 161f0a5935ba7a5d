//! Prolonging a session with its refresh token. Each is good for one trade; one that is traded twice was stolen.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::account::{self, Account};
use super::amr::Amr;
use super::entity::credential;
use super::new_sign_in;
use super::rotation::{Shown, Turn};
use super::session::{NewSession, Pair, SessionTokens, Transport, open_with};
use crate::access::Origin;
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{CredentialId, UserId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, WriteTx};
use crate::mail::{self, NewMail, Template, To};

/// What a refresh came to.
pub enum Refreshed {
    Tokens(Box<Account>, SessionTokens),
    /// The token had been used before: whoever holds the family, it is ended. Commit this too.
    ReuseDetected,
}

fn refused() -> Problem {
    Problem::new(
        ProblemCode::Unauthenticated,
        "The refresh token is unknown, expired or revoked. Sign in again.",
    )
}

/// Trades a refresh token for new tokens; the session ends when it would have ended. A token that was traded before ends
/// the whole family, unless the answer to the first trade was lost: within 30 seconds, and only while nothing of that
/// answer was used, the very same is given again.
///
/// # Errors
/// `unauthenticated` for a token that is no live refresh token.
pub async fn refresh(tx: &WriteTx, macs: &TokenMacKey, text: &str, origin: &Origin) -> Result<Refreshed> {
    let token = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::Refresh)
        .ok_or_else(refused)?;
    let row = locked(tx, &macs.mac(&token)).await?;
    let family = row.family_id.ok_or_else(refused)?;
    let account = account::get(tx, UserId(row.principal_id)).await?;
    let origin = origin.clone().by_user(account.id, &account.email);
    let shown = Shown {
        id: row.id,
        text,
        replaced_by: row.replaced_by,
    };
    let access = shown.next(macs, TokenKind::Session);
    let entry = Entry::of_account(account.id, Action::SessionRefreshed, Target::Session(family));
    let (tokens, entry) = match shown.turn(tx, macs, TokenKind::Refresh).await? {
        Turn::First(refresh) => {
            let refresh = Some(refresh);
            let pair = Pair { access, refresh };
            let begun = Box::pin(first(tx, macs, &shown, &row, family, pair, &origin));
            (begun.await?, entry)
        }
        Turn::Again(refresh) => (again(tx, macs, access, refresh).await?, entry.with("again", true)),
        Turn::Reuse => return end_family(tx, &account, family, &origin).await,
    };
    journal::record(tx, &origin, entry).await?;
    Ok(Refreshed::Tokens(Box::new(account), tokens))
}

/// The tokens take over.
async fn first(
    tx: &WriteTx,
    macs: &TokenMacKey,
    shown: &Shown<'_>,
    row: &credential::Model,
    family: Uuid,
    pair: Pair,
    origin: &Origin,
) -> Result<SessionTokens> {
    revoke_family_but(tx, family, row.id).await?;
    let session = NewSession {
        user: UserId(row.principal_id),
        transport: Transport::Bearer,
        family,
        auth_time: row.auth_time,
        amr: &Amr::from_column(row.amr.as_deref())?,
        ends_at: row.expires_at,
    };
    let opened = open_with(tx, macs, session, pair, origin).await?;
    let next = opened.refresh;
    let next = next.ok_or_else(|| Error::internal("a session was prolonged without a refresh token"))?;
    shown.replaced(tx, next).await?;
    Ok(opened.tokens)
}

/// The tokens that took over already, once more.
async fn again(tx: &WriteTx, macs: &TokenMacKey, access: Token, refresh: Token) -> Result<SessionTokens> {
    let row = by_mac(tx, &macs.mac(&access), "session").await?;
    let ends_at = row
        .filter(|row| row.revoked_at.is_none())
        .and_then(|row| row.expires_at);
    Ok(SessionTokens {
        access,
        refresh: Some(refresh),
        expires_at: ends_at.ok_or_else(refused)?,
    })
}

/// The row of a live refresh token. Its account is locked: what ends sessions waits or was first, and of two that trade
/// one token at once the second sees what the first did.
async fn locked(tx: &WriteTx, mac: &[u8]) -> Result<credential::Model> {
    let found = by_mac(tx, mac, "refresh").await?.ok_or_else(refused)?;
    let standing = match account::lock(tx, UserId(found.principal_id)).await {
        Err(error) if error.code() == Some(ProblemCode::NotFound) => return Err(refused().into()),
        standing => standing?,
    };
    let row = by_mac(tx, mac, "refresh").await?.ok_or_else(refused)?;
    let is_over = row.revoked_at.is_some() || row.expires_at.is_some_and(|end| end <= tx.now());
    if is_over || standing.disabled_at.is_some() {
        return Err(refused().into());
    }
    Ok(row)
}

async fn by_mac(tx: &WriteTx, mac: &[u8], kind: &str) -> Result<Option<credential::Model>> {
    Ok(credential::Entity::find()
        .filter(credential::Column::SecretMac.eq(mac.to_vec()))
        .filter(credential::Column::Kind.eq(kind))
        .one(tx.conn())
        .await?)
}

async fn revoke_family_but(tx: &WriteTx, family: Uuid, keep: CredentialId) -> Result<()> {
    let sql = "UPDATE credentials SET revoked_at = $3 WHERE family_id = $1 AND id <> $2 AND revoked_at IS NULL AND replaced_by IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [family.into(), keep.into(), tx.now().into()]))
        .await?;
    Ok(())
}

/// Ends a session whose refresh token has come twice, and tells its person.
async fn end_family(tx: &WriteTx, account: &Account, family: Uuid, origin: &Origin) -> Result<Refreshed> {
    let sql = "UPDATE credentials SET revoked_at = $2 WHERE family_id = $1 AND revoked_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [family.into(), tx.now().into()]))
        .await?;
    let mail = NewMail::new(Template::SessionReused, To::Primary(account.id));
    mail::queue(tx, new_sign_in::with_place(mail, tx.now(), origin)).await?;
    let entry = Entry::of_account(account.id, Action::SessionReuseDetected, Target::Session(family));
    journal::record(tx, origin, entry).await?;
    Ok(Refreshed::ReuseDetected)
}
