//! Proving that an address belongs to its account. The link's token is made by the worker when it sends the mail and
//! stored as a keyed hash: neither the queue nor the mail table ever holds one.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::account;
use super::entity::{challenge, email};
use crate::access::{Caller, Origin};
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{EmailId, UserId};
use crate::kernel::{Problem, Reads, Result, WriteTx};
use crate::mail::{self, Template};

/// How long a verification link works.
const LINK_TTL: Duration = Duration::from_secs(24 * 3600);

const PURPOSE: &str = "verify_email";

/// Queues the verification mail of an address.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn send(tx: &WriteTx, user: UserId, email: EmailId) -> Result<()> {
    mail::queue(tx, Template::VerifyEmail, user, email).await
}

/// Queues another verification mail for the caller's primary address.
///
/// # Errors
/// `conflict` when the address is verified already.
pub async fn send_again(tx: &WriteTx, caller: &Caller) -> Result<()> {
    let user = caller.session_user()?;
    let row = email::Entity::find()
        .filter(email::Column::UserId.eq(user))
        .filter(email::Column::IsPrimary.eq(true))
        .one(tx.conn())
        .await?
        .ok_or_else(Problem::not_found)?;
    if row.verified_at.is_some() {
        return Err(Problem::new(crate::kernel::ProblemCode::Conflict, "The address is verified already.").into());
    }
    send(tx, user, row.id).await?;
    journal::record(
        tx,
        &caller.origin,
        Entry::of_account(user, Action::UserVerificationRequested, Target::User(user)),
    )
    .await?;
    Ok(())
}

/// Makes the token of a link; older links of the address stop working. For the worker, as it sends the mail.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn issue_link(tx: &WriteTx, macs: &TokenMacKey, user: UserId, email: EmailId) -> Result<Token> {
    let token = Token::generate(tx.rng(), TokenKind::Link)?;
    let sql = "UPDATE challenges SET consumed_at = $3 WHERE email_id = $1 AND purpose = $2 AND consumed_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [email.into(), PURPOSE.into(), tx.now().into()]))
        .await?;
    let row = challenge::ActiveModel {
        id: Set(tx.new_id()?),
        purpose: Set(PURPOSE.to_owned()),
        user_id: Set(Some(user)),
        email_id: Set(Some(email)),
        secret_mac: Set(macs.mac(&token).to_vec()),
        attempts: Set(0),
        created_at: Set(tx.now()),
        expires_at: Set(tx.now() + LINK_TTL),
        consumed_at: Set(None),
    };
    challenge::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(token)
}

/// Verifies the address that the link was mailed to.
///
/// # Errors
/// `invalid_field` for a link that is unknown, used, replaced or too old: the four are not told apart.
pub async fn verify(tx: &WriteTx, macs: &TokenMacKey, text: &str, origin: &Origin) -> Result<()> {
    let refused = || {
        Problem::field(
            "token",
            "invalid",
            "the link is unknown, used or too old; ask for a new one",
        )
    };
    let token = Token::parse(text)
        .ok()
        .filter(|token| token.kind() == TokenKind::Link)
        .ok_or_else(refused)?;
    let found = challenge::Entity::find()
        .filter(challenge::Column::SecretMac.eq(macs.mac(&token).to_vec()))
        .filter(challenge::Column::Purpose.eq(PURPOSE))
        .one(tx.conn())
        .await?
        .ok_or_else(refused)?;
    // The condition makes it single use under any concurrency.
    let sql = "UPDATE challenges SET consumed_at = $2 WHERE id = $1 AND consumed_at IS NULL AND expires_at > $2";
    let used = tx
        .conn()
        .execute_raw(tx.sql(sql, [found.id.into(), tx.now().into()]))
        .await?;
    let (Some(user), Some(email), 1) = (found.user_id, found.email_id, used.rows_affected()) else {
        return Err(refused().into());
    };
    let sql = "UPDATE user_emails SET verified_at = $2 WHERE id = $1 AND verified_at IS NULL";
    tx.conn()
        .execute_raw(tx.sql(sql, [email.into(), tx.now().into()]))
        .await?;
    let account = account::get(tx, user).await?;
    let origin = origin.clone().by_user(user, &account.email);
    journal::record(
        tx,
        &origin,
        Entry::of_account(user, Action::UserEmailVerified, Target::User(user)),
    )
    .await?;
    Ok(())
}
