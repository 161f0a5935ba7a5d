//! One-time tokens: made, shown once, stored as a keyed hash, good for one use until they expire or are replaced. Those
//! that begin for an address, known or not, and are met with a mailed code are in [`code`].

pub mod code;

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};

use super::entity::challenge;
use crate::crypto::token::{Token, TokenKind, TokenMacKey};
use crate::kernel::id::{EmailId, UserId};
use crate::kernel::{Reads, Result, WriteTx};

/// What a one-time token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Proves that an address belongs to its account, by a link.
    VerifyEmail,
    /// Proves that an address belongs to its account, by a code that is typed where its person is signed in.
    VerifyEmailCode,
    /// Signs in by a mailed code.
    SignIn,
    /// Registers by a mailed code.
    Registration,
    /// Goes on with a registration whose address is proved.
    Registering,
    /// Sets a new password by a mailed link.
    ResetPassword,
    /// Makes the first administrator.
    Setup,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::VerifyEmailCode => "verify_email_code",
            Self::SignIn => "sign_in",
            Self::Registration => "registration",
            Self::Registering => "registering",
            Self::ResetPassword => "reset_password",
            Self::Setup => "setup",
        }
    }

    const fn kind(self) -> TokenKind {
        match self {
            Self::VerifyEmail | Self::ResetPassword => TokenKind::Link,
            Self::VerifyEmailCode | Self::SignIn | Self::Registration | Self::Registering => TokenKind::Challenge,
            Self::Setup => TokenKind::Setup,
        }
    }
}

/// Whom a one-time token is for; nobody in particular for the setup of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    pub user: Option<UserId>,
    pub email: Option<EmailId>,
}

/// Makes a token. Earlier ones of the purpose and subject stop working: only the newest is good.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn issue(
    tx: &WriteTx,
    macs: &TokenMacKey,
    purpose: Purpose,
    subject: Subject,
    ttl: Duration,
) -> Result<Token> {
    let token = Token::generate(tx.rng(), purpose.kind())?;
    let sql = "UPDATE challenges SET consumed_at = $3
               WHERE purpose = $1 AND consumed_at IS NULL AND (email_id = $2 OR (email_id IS NULL AND $2 IS NULL))
                 AND (user_id = $4 OR (user_id IS NULL AND $4 IS NULL))";
    let values = [
        purpose.as_str().into(),
        subject.email.into(),
        tx.now().into(),
        subject.user.into(),
    ];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    let row = challenge::ActiveModel {
        id: Set(tx.new_id()?),
        purpose: Set(purpose.as_str().to_owned()),
        user_id: Set(subject.user),
        email_id: Set(subject.email),
        email: Set(None),
        binding_mac: Set(None),
        payload: Set(None),
        secret_mac: Set(macs.mac(&token).to_vec()),
        attempts: Set(0),
        created_at: Set(tx.now()),
        expires_at: Set(tx.now() + ttl),
        consumed_at: Set(None),
    };
    challenge::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(token)
}

/// Uses a token up. `None` for one that is unknown, of another purpose, used, replaced or expired: they are not told
/// apart. Of two that use it at once, one succeeds.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn consume(tx: &WriteTx, macs: &TokenMacKey, purpose: Purpose, text: &str) -> Result<Option<Subject>> {
    let used = use_up(tx, macs, purpose, text).await?;
    Ok(used.map(|row| Subject {
        user: row.user_id,
        email: row.email_id,
    }))
}

/// Like [`consume`], with everything that the challenge knows.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub(super) async fn use_up(
    tx: &WriteTx,
    macs: &TokenMacKey,
    purpose: Purpose,
    text: &str,
) -> Result<Option<challenge::Model>> {
    let Some(token) = Token::parse(text).ok().filter(|token| token.kind() == purpose.kind()) else {
        return Ok(None);
    };
    // The condition makes it single use under any concurrency.
    let sql = "UPDATE challenges SET consumed_at = $3
               WHERE secret_mac = $1 AND purpose = $2 AND consumed_at IS NULL AND expires_at > $3 RETURNING *";
    let values = [
        macs.mac(&token).to_vec().into(),
        purpose.as_str().into(),
        tx.now().into(),
    ];
    let used = challenge::Model::find_by_statement(tx.sql(sql, values));
    Ok(used.one(tx.conn()).await?)
}

/// Whether a token could be used now; it stays good.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn is_good(from: &impl Reads, macs: &TokenMacKey, purpose: Purpose, text: &str) -> Result<bool> {
    Ok(peek(from, macs, purpose, text).await?.is_some())
}

/// Looks at a token without using it up, so that the rest of a request can be checked before it is spent.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub(super) async fn peek(
    from: &impl Reads,
    macs: &TokenMacKey,
    purpose: Purpose,
    text: &str,
) -> Result<Option<challenge::Model>> {
    let Some(token) = Token::parse(text).ok().filter(|token| token.kind() == purpose.kind()) else {
        return Ok(None);
    };
    let sql = "SELECT * FROM challenges
               WHERE secret_mac = $1 AND purpose = $2 AND consumed_at IS NULL AND expires_at > $3";
    let values = [
        macs.mac(&token).to_vec().into(),
        purpose.as_str().into(),
        from.now().into(),
    ];
    let found = challenge::Model::find_by_statement(from.sql(sql, values));
    Ok(found.one(from.conn()).await?)
}
