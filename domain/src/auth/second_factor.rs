//! The second factor of an account: a generator of one-time passwords, with recovery codes for when it is lost. A seed
//! is not in force until a code of it was shown, so nobody is locked out by a QR code that was never read.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder};

use super::account;
use super::amr::Method;
use super::entity::second_factor;
use super::recovery;
use super::sessions;
use super::totp::Generator;
use crate::access::Caller;
use crate::access::grant::require_recent_sign_in;
use crate::crypto::aad::{Aad, Purpose};
use crate::crypto::key_store::KeyStore;
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::{FactorId, UserId};
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Secret, Timestamp, WriteTx};
use crate::mail::{self, NewMail, Template, To};

/// The `kind` of a generator's row.
const KIND: &str = "totp";

/// What an account has of a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// When it was switched on; `None` while it is off.
    pub enabled_at: Option<Timestamp>,
    /// Whether a seed waits for its first code.
    pub is_prepared: bool,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: i64,
}

/// A new seed, shown this once.
pub struct Prepared {
    /// For typing into an app: base32.
    pub secret: Secret<String>,
    /// For a QR code.
    pub uri: Secret<String>,
}

fn additional_data(user: UserId, factor: FactorId) -> Vec<u8> {
    Aad::new(Purpose::TotpSeed).uuid(user).uuid(factor).finish()
}

async fn generators(from: &impl Reads, user: UserId) -> Result<Vec<second_factor::Model>> {
    Ok(second_factor::Entity::find()
        .filter(second_factor::Column::UserId.eq(user))
        .filter(second_factor::Column::Kind.eq(KIND))
        .order_by_desc(second_factor::Column::Id)
        .all(from.conn())
        .await?)
}

/// What the account has.
///
/// # Errors
/// [`Error::Db`].
pub async fn status(from: &impl Reads, user: UserId) -> Result<Status> {
    let rows = generators(from, user).await?;
    Ok(Status {
        enabled_at: rows.iter().find_map(|row| row.confirmed_at),
        is_prepared: rows.iter().any(|row| row.confirmed_at.is_none()),
        recovery_codes_left: recovery::left(from, user).await?,
    })
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// Whether signing in takes a second factor.
///
/// # Errors
/// [`Error::Db`].
pub async fn is_on(from: &impl Reads, user: UserId) -> Result<bool> {
    let sql =
        "SELECT COUNT(*) AS n FROM second_factors WHERE user_id = $1 AND kind = 'totp' AND confirmed_at IS NOT NULL";
    let count = Count::find_by_statement(from.sql(sql, [user.into()]))
        .one(from.conn())
        .await?;
    Ok(count.is_some_and(|count| count.n > 0))
}

fn conflict(detail: &'static str) -> Error {
    Problem::new(ProblemCode::Conflict, detail).into()
}

/// The account, locked, when its second factor is on or off as wanted.
async fn locked(tx: &WriteTx, caller: &Caller, on: bool) -> Result<UserId> {
    require_recent_sign_in(tx, caller)?;
    let user = caller.session_user()?;
    account::lock(tx, user).await?;
    match (is_on(tx, user).await?, on) {
        (true, false) => Err(conflict(
            "Two-factor sign-in is on. Switch it off first to begin with another app.",
        )),
        (false, true) => Err(conflict("Two-factor sign-in is off.")),
        (true, true) | (false, false) => Ok(user),
    }
}

/// Makes a seed for the caller; one that waits already is replaced.
///
/// # Errors
/// `conflict` while a second factor is on; `step_up_required`, `session_required`.
pub async fn prepare(tx: &WriteTx, keys: &KeyStore, caller: &Caller) -> Result<Prepared> {
    let user = locked(tx, caller, false).await?;
    remove_generators(tx, user).await?;
    let account = account::get(tx, user).await?;
    let generator = Generator::draw(tx.rng(), &account.email)?;
    let id: FactorId = tx.new_id()?;
    let sealed = keys
        .instance()
        .seal(tx.rng(), &additional_data(user, id), generator.seed())?;
    let row = second_factor::ActiveModel {
        id: Set(id),
        user_id: Set(user),
        kind: Set(KIND.to_owned()),
        sealed_secret: Set(Some(sealed)),
        code_mac: Set(None),
        last_step: Set(0),
        created_at: Set(tx.now()),
        confirmed_at: Set(None),
        used_at: Set(None),
    };
    second_factor::Entity::insert(row)
        .exec_without_returning(tx.conn())
        .await?;
    record(tx, caller, user, Action::UserSecondFactorPrepared).await?;
    Ok(Prepared {
        secret: generator.secret(),
        uri: generator.uri()?,
    })
}

/// What switching a second factor on came to.
pub struct Enabled {
    pub recovery_codes: Vec<Secret<String>>,
    /// What the session's cookie carries from now on, if it has one.
    pub renewed: Option<Token>,
}

/// Puts the prepared seed in force, with a code of it; other sessions end.
///
/// # Errors
/// `invalid_field` for a wrong code; `conflict` when nothing is prepared, or it is on already; `step_up_required`,
/// `session_required`.
pub async fn enable(tx: &WriteTx, keys: &KeyStore, caller: &Caller, code: &str) -> Result<Enabled> {
    let user = locked(tx, caller, false).await?;
    let row = generators(tx, user).await?.into_iter().next();
    let row = row.ok_or_else(|| conflict("There is nothing to switch on: prepare a second factor first."))?;
    if !use_code(tx, keys, &row, code).await? {
        let message = "is not the code that the app shows now; check the clock of the device";
        return Err(Problem::field("code", "invalid", message).into());
    }
    let sql = "UPDATE second_factors SET confirmed_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [row.id.into(), tx.now().into()]))
        .await?;
    let recovery_codes = recovery::replace(tx, keys.token_mac(), user).await?;
    sessions::end_others(tx, caller).await?;
    let renewed = sessions::proved(tx, keys.token_mac(), caller, Method::Otp).await?;
    tell(tx, user, "It was switched on. Other sessions have ended.").await?;
    record(tx, caller, user, Action::UserSecondFactorEnabled).await?;
    Ok(Enabled {
        recovery_codes,
        renewed,
    })
}

/// Switches the second factor off; other sessions end.
///
/// # Errors
/// `conflict` when it is off; `step_up_required`, `session_required`.
pub async fn disable(tx: &WriteTx, caller: &Caller) -> Result<()> {
    let user = locked(tx, caller, true).await?;
    remove_generators(tx, user).await?;
    recovery::remove(tx, user).await?;
    sessions::end_others(tx, caller).await?;
    sessions::forget_second_factor(tx, caller).await?;
    tell(tx, user, "It was switched off. Other sessions have ended.").await?;
    record(tx, caller, user, Action::UserSecondFactorDisabled).await
}

/// Makes new recovery codes; the old ones stop working.
///
/// # Errors
/// `conflict` while the second factor is off; `step_up_required`, `session_required`.
pub async fn make_recovery_codes(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller) -> Result<Vec<Secret<String>>> {
    let user = locked(tx, caller, true).await?;
    let codes = recovery::replace(tx, macs, user).await?;
    tell(tx, user, "New recovery codes were made. The old ones no longer work.").await?;
    record(tx, caller, user, Action::UserRecoveryCodesMade).await?;
    Ok(codes)
}

/// Uses up a code of the generator in force, or a recovery code. `None` when it is neither, or was used.
pub(super) async fn prove(tx: &WriteTx, keys: &KeyStore, user: UserId, code: &str) -> Result<Option<Method>> {
    let in_force = generators(tx, user)
        .await?
        .into_iter()
        .find(|row| row.confirmed_at.is_some());
    let Some(row) = in_force else { return Ok(None) };
    if use_code(tx, keys, &row, code).await? {
        return Ok(Some(Method::Otp));
    }
    if !recovery::consume(tx, keys.token_mac(), user, code).await? {
        return Ok(None);
    }
    let left = recovery::left(tx, user).await?;
    let mail = NewMail::new(Template::RecoveryCodeUsed, To::Primary(user)).with("left", left);
    mail::queue(tx, mail).await?;
    Ok(Some(Method::Recovery))
}

/// Uses a code of a generator. Each step's code is good once, wherever it is shown: the condition of the update
/// decides, under any concurrency.
async fn use_code(tx: &WriteTx, keys: &KeyStore, row: &second_factor::Model, code: &str) -> Result<bool> {
    let broken = || Error::internal("the seed of a second factor cannot be opened");
    let sealed = row.sealed_secret.as_deref().ok_or_else(broken)?;
    let seed = keys
        .instance()
        .open(&additional_data(row.user_id, row.id), sealed)
        .map_err(|_| broken())?;
    let generator = Generator::stored(seed.expose())?;
    let digits: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    let Some(step) = generator.matching_step(&digits, tx.now()) else {
        return Ok(false);
    };
    let sql = "UPDATE second_factors SET last_step = $2, used_at = $3 WHERE id = $1 AND last_step < $2";
    let used = tx
        .conn()
        .execute_raw(tx.sql(sql, [row.id.into(), step.into(), tx.now().into()]))
        .await?;
    Ok(used.rows_affected() == 1)
}

async fn remove_generators(tx: &WriteTx, user: UserId) -> Result<()> {
    let sql = "DELETE FROM second_factors WHERE user_id = $1 AND kind = 'totp'";
    tx.conn().execute_raw(tx.sql(sql, [user.into()])).await?;
    Ok(())
}

/// Tells the person by mail, who may not have done it.
async fn tell(tx: &WriteTx, user: UserId, what: &'static str) -> Result<()> {
    let mail = NewMail::new(Template::SecondFactorChanged, To::Primary(user)).with("what", what);
    mail::queue(tx, mail).await
}

async fn record(tx: &WriteTx, caller: &Caller, user: UserId, action: Action) -> Result<()> {
    journal::record(tx, &caller.origin, Entry::of_account(user, action, Target::User(user))).await?;
    Ok(())
}
