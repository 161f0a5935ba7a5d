//! A sign-in that waits for its second factor. Five minutes, five tries, one use; each try is counted before its code
//! is looked at, so that however many come at once, no sixth is.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};

use super::account::{self, Account};
use super::amr::Amr;
use super::entity::challenge;
use super::second_factor;
use super::session::{self, SessionTokens, Transport};
use crate::access::Origin;
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::{ChallengeId, UserId};
use crate::kernel::{Db, Error, Problem, ProblemCode, Reads, Result, Timestamp, WriteTx};

/// How long a sign-in waits. Source: design of identity.
const TTL: Duration = Duration::from_mins(5);
/// Codes that may be tried. Source: design of identity.
pub const TRIES: i32 = 5;
/// The `purpose` of its rows.
const PURPOSE: &str = "second_factor";

/// The proof that the first factor was shown, for the client to go on with.
pub struct Pending {
    /// `srm_chl_…`, shown once.
    pub token: Token,
    pub expires_at: Timestamp,
}

/// What the session will be like.
#[derive(Serialize, Deserialize)]
struct Kept {
    transport: Transport,
    amr: Amr,
}

/// A sign-in that was found again by its token.
pub struct Found {
    id: ChallengeId,
    pub user: UserId,
    kept: Kept,
}

fn over() -> Error {
    Problem::new(
        ProblemCode::Unauthenticated,
        "The sign-in is unknown, finished, out of tries or older than five minutes. Sign in again.",
    )
    .into()
}

/// What a wrong code is told; also what the person could show instead.
pub(super) fn wrong_code() -> Problem {
    Problem::new(
        ProblemCode::InvalidCredentials,
        "The code is wrong, or was used. Wait for the next one, or use a recovery code.",
    )
    .with("methods", vec!["totp", "recovery"])
}

/// Begins to wait.
pub(super) async fn wait(
    tx: &WriteTx,
    macs: &TokenMacKey,
    user: UserId,
    transport: Transport,
    amr: Amr,
) -> Result<Pending> {
    let token = Token::generate(tx.rng(), TokenKind::Challenge)?;
    let expires_at = tx.now() + TTL;
    let kept = serde_json::to_string(&Kept { transport, amr })
        .map_err(|e| Error::internal(format!("a sign-in that waits: {e}")))?;
    let row = challenge::ActiveModel {
        id: Set(tx.new_id()?),
        purpose: Set(PURPOSE.to_owned()),
        user_id: Set(Some(user)),
        email_id: Set(None),
        email: Set(None),
        secret_mac: Set(macs.mac(&token).to_vec()),
        binding_mac: Set(None),
        payload: Set(Some(kept)),
        attempts: Set(0),
        created_at: Set(tx.now()),
        expires_at: Set(expires_at),
        consumed_at: Set(None),
    };
    challenge::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(Pending { token, expires_at })
}

/// Finds a waiting sign-in.
///
/// # Errors
/// `unauthenticated` for one that is unknown, finished or too old.
pub async fn find(db: &Db, macs: &TokenMacKey, text: &str) -> Result<Found> {
    let token = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::Challenge)
        .ok_or_else(over)?;
    let row = challenge::Entity::find()
        .filter(challenge::Column::SecretMac.eq(macs.mac(&token).to_vec()))
        .filter(challenge::Column::Purpose.eq(PURPOSE))
        .filter(challenge::Column::ConsumedAt.is_null())
        .filter(challenge::Column::ExpiresAt.gt(db.now()))
        .one(db.conn())
        .await?
        .ok_or_else(over)?;
    let broken = || Error::internal("a waiting sign-in is stored wrongly");
    let payload = row.payload.as_deref().ok_or_else(broken)?;
    Ok(Found {
        id: row.id,
        user: row.user_id.ok_or_else(broken)?,
        kept: serde_json::from_str(payload).map_err(|_| broken())?,
    })
}

impl Found {
    /// Counts a try, for good: whatever becomes of the code, one fewer is left.
    ///
    /// # Errors
    /// `unauthenticated` when none is left.
    pub async fn count_try(&self, db: &Db) -> Result<()> {
        let tx = db.begin_write().await?;
        let sql = "UPDATE challenges SET attempts = attempts + 1
                   WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2 AND attempts < $3";
        let values = [self.id.into(), tx.now().into(), TRIES.into()];
        let counted = tx.conn().execute_raw(tx.sql(sql, values)).await?;
        tx.commit_bookkeeping().await?;
        if counted.rows_affected() == 1 {
            Ok(())
        } else {
            Err(over())
        }
    }

    /// Finishes the sign-in with a code of the generator or a recovery code. Count the try first.
    ///
    /// # Errors
    /// `invalid_credentials` for a wrong code, `unauthenticated` when the sign-in was finished meanwhile.
    pub async fn finish(
        self,
        tx: &WriteTx,
        keys: &KeyStore,
        code: &str,
        origin: &Origin,
    ) -> Result<(Account, SessionTokens)> {
        let Self { id, user, kept } = self;
        account::lock(tx, user).await?;
        let sql = "UPDATE challenges SET consumed_at = $2 WHERE id = $1 AND consumed_at IS NULL";
        let used = tx.conn().execute_raw(tx.sql(sql, [id.into(), tx.now().into()])).await?;
        let account = account::get(tx, user).await?;
        if used.rows_affected() != 1 || account.disabled_at.is_some() {
            return Err(over());
        }
        let method = second_factor::prove(tx, keys, user, code)
            .await?
            .ok_or_else(wrong_code)?;
        let amr = kept.amr.with(method);
        let tokens = session::sign_in(tx, keys.token_mac(), &account, kept.transport, &amr, origin).await?;
        Ok((account, tokens))
    }
}

/// Ends the sign-ins of an account that still wait: what their first factor was may be no good any more.
pub(super) async fn end_all(tx: &WriteTx, user: UserId) -> Result<()> {
    let sql = "UPDATE challenges SET consumed_at = $2
               WHERE user_id = $1 AND purpose = 'second_factor' AND consumed_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [user.into(), tx.now().into()]))
        .await?;
    Ok(())
}
