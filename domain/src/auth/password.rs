//! Signing in with a password.

use sea_orm::ConnectionTrait;

use super::account::{self, Account};
use crate::crypto::password::{Passwords, Verdict};
use crate::kernel::{Db, Error, Problem, ProblemCode, Reads, Result, Secret};

pub(super) fn wrong_details() -> Error {
    Problem::new(
        ProblemCode::InvalidCredentials,
        "E-mail, username or password is wrong.",
    )
    .into()
}

/// Checks name and password. An unknown name costs the same and says the same as a wrong password.
///
/// # Errors
/// `invalid_credentials`.
pub async fn check(db: &Db, passwords: &Passwords, name: &str, password: Secret<String>) -> Result<Account> {
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
        (Verdict::Wrong, _) | (Verdict::Right | Verdict::RightButOutdated, None) => Err(wrong_details()),
    }
}

/// Stores the password under today's parameters.
async fn rehash(db: &Db, passwords: &Passwords, account: &Account, password: Secret<String>) -> Result<()> {
    let hash = passwords.hash(password).await?;
    let tx = db.begin_write().await?;
    let sql = "UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3";
    let values = [account.id.into(), hash.into(), account.password_hash.clone().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}
