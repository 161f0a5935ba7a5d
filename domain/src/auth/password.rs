//! Signing in with a password, and changing it.

use sea_orm::ConnectionTrait;

use super::account::{self, Account};
use super::throttle::{Attempt, Subject, Throttle};
use super::{known_place, sessions};
use crate::access::{Caller, Origin};
use crate::crypto::password::{KEYED, Passwords, Place, STORED_BEHIND_COSTS, Verdict, check_strength_of, costs_of};
use crate::crypto::token::{Token, TokenMacKey};
use crate::journal::{self, Action, Entry, Target};
use crate::kernel::id::UserId;
use crate::kernel::text;
use crate::kernel::{Db, Error, Problem, ProblemCode, Reads, Result, Secret, WriteTx};
use crate::mail::{self, NewMail, Template, To};

/// What checking a password takes.
#[derive(Clone, Copy)]
pub struct Checks<'a> {
    pub db: &'a Db,
    pub macs: &'a TokenMacKey,
    pub passwords: &'a Passwords,
    pub throttle: &'a Throttle,
}

fn wrong_details() -> Error {
    Problem::new(
        ProblemCode::InvalidCredentials,
        "E-mail, username or password is wrong.",
    )
    .into()
}

/// Checks name and password. An unknown name costs the same, says the same and is slowed down the same as a wrong
/// password.
///
/// # Errors
/// `invalid_credentials`; `rate_limited` before anything was hashed, also when very many wait for that.
pub async fn check(with: Checks<'_>, name: &str, password: Secret<String>, origin: &Origin) -> Result<Account> {
    let place = with.passwords.place()?;
    let name = text::login_name(name);
    let found = account::find_by_login(with.db, &name).await?;
    let user = found.as_ref().map(|account| account.id);
    let subject = subject(with, user, &name, origin).await?;
    let found = found.filter(|account| account.disabled_at.is_none());
    let attempt = verify(with, place, found, password);
    with.throttle.guard(with.db, subject, attempt).await
}

/// Against whom a wrong password counts.
async fn subject(with: Checks<'_>, user: Option<UserId>, name: &str, origin: &Origin) -> Result<Subject> {
    let is_known = known_place::is_known(with.db, user, origin.ip.as_deref()).await?;
    Ok(match (user, &origin.ip) {
        (None, _) => Subject::name(with.macs, Attempt::Password, name),
        (Some(user), Some(ip)) if is_known => Subject::place(with.macs, Attempt::Password, user, ip),
        (Some(user), _) => Subject::account(with.macs, Attempt::Password, user),
    })
}

/// Checks the password of somebody who is signed in.
///
/// # Errors
/// `invalid_credentials`; `rate_limited` before anything was hashed.
pub(super) async fn check_own(
    with: Checks<'_>,
    account: Account,
    password: Secret<String>,
    origin: &Origin,
) -> Result<Account> {
    let place = with.passwords.place()?;
    let subject = subject(with, Some(account.id), &account.email, origin).await?;
    let attempt = verify(with, place, Some(account), password);
    with.throttle.guard(with.db, subject, attempt).await
}

async fn verify(with: Checks<'_>, place: Place, found: Option<Account>, password: Secret<String>) -> Result<Account> {
    let hash = found.as_ref().and_then(|account| account.password_hash.clone());
    let verdict = with.passwords.verify(place, password, hash).await?;
    match (verdict, found) {
        (Verdict::Right, Some(account)) => Ok(account),
        (Verdict::RightButOutdated(hash), Some(account)) => {
            store_anew(with, &account, hash).await?;
            Ok(account)
        }
        (Verdict::Wrong, _) | (Verdict::Right | Verdict::RightButOutdated(_), None) => Err(wrong_details()),
    }
}

/// Stores the same password under today's parameters.
async fn store_anew(with: Checks<'_>, account: &Account, hash: String) -> Result<()> {
    let tx = with.db.begin_write().await?;
    let sql = "UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3";
    let values = [account.id.into(), hash.into(), account.password_hash.clone().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}

/// Looks with what costs passwords are stored, of accounts and of users of realms, so that [`Passwords`] knows how long a
/// wrong one may take. Every password is looked at: ask once. Returns whether any are others than today's.
///
/// # Errors
/// [`Error::Db`].
pub async fn look_for_former_costs(from: &impl Reads, passwords: &Passwords) -> Result<bool> {
    let of = |table: &str| {
        format!(
            "SELECT DISTINCT substr(password_hash, 1, length(password_hash) - {STORED_BEHIND_COSTS}) AS prefix
             FROM {table} WHERE length(password_hash) > {STORED_BEHIND_COSTS} AND password_hash LIKE '{KEYED}$%'"
        )
    };
    let sql = format!("{} UNION {}", of("users"), of("realm_users"));
    let rows = from.conn().query_all_raw(from.sql(&sql, [])).await?;
    let prefixes: Vec<String> = rows
        .iter()
        .map(|row| row.try_get("", "prefix"))
        .collect::<Result<_, _>>()?;
    Ok(passwords.know_former(prefixes.iter().filter_map(|prefix| costs_of(prefix))))
}

/// A change of password whose old one was right and whose new one is good.
pub struct Change {
    account: Account,
    hash: String,
}

/// Checks the old password and the new. Hashing takes a while, so it comes before the transaction of [`change`].
///
/// # Errors
/// `invalid_credentials` for a wrong old password, `invalid_field` for a weak new one, `conflict` for an account without
/// a password, `session_required`, `rate_limited`.
pub async fn check_change(
    with: Checks<'_>,
    caller: &Caller,
    current: Secret<String>,
    new: Secret<String>,
) -> Result<Change> {
    let account = account::get(with.db, caller.session_user()?).await?;
    if account.password_hash.is_none() {
        let detail = "The account has no password. Set one by way of a reset mail.";
        return Err(Problem::new(ProblemCode::Conflict, detail).into());
    }
    let known = [account.email.as_str(), &account.first_name, &account.last_name];
    check_strength_of("new_password", &new, &known)?;
    let account = check_own(with, account, current, &caller.origin).await?;
    let hash = with.passwords.hash(new).await?;
    Ok(Change { account, hash })
}

/// Changes the caller's password; other sessions end, and the person is told by mail. Returns what the session's cookie
/// carries from now on, if it has one.
///
/// # Errors
/// `invalid_credentials` when the password was changed meanwhile.
pub async fn change(tx: &WriteTx, macs: &TokenMacKey, caller: &Caller, change: Change) -> Result<Option<Token>> {
    let Change { account, hash } = change;
    let user = account.id;
    if account::lock(tx, user).await?.auth_epoch != account.auth_epoch {
        return Err(wrong_details());
    }
    store(tx, user, hash).await?;
    sessions::end_others(tx, caller).await?;
    let renewed = sessions::renew(tx, macs, caller).await?;
    mail::queue(tx, NewMail::new(Template::PasswordChanged, To::Primary(user))).await?;
    let entry = Entry::of_account(user, Action::UserPasswordChanged, Target::User(user));
    journal::record(tx, &caller.origin, entry).await?;
    Ok(renewed)
}

/// Stores a new password; sign-ins that have begun with the old one are not finished. The caller ends sessions.
///
/// # Errors
/// [`Error::Db`].
pub async fn store(tx: &WriteTx, user: UserId, hash: String) -> Result<()> {
    let sql = "UPDATE users SET password_hash = $2, auth_epoch = auth_epoch + 1, updated_at = $3 WHERE id = $1";
    let values = [user.into(), hash.into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}
