//! The password of a user of a realm, checked as carefully as that of an account: a wrong one is slowed down, and an
//! unknown address costs the same, says the same and is slowed down the same.

use sea_orm::ConnectionTrait;

use super::realm::Realm;
use super::user::{self, Standing};
use crate::access::Origin;
use crate::auth::password::Checks;
use crate::auth::realm_token;
use crate::auth::throttle::{Attempt, Subject};
use crate::crypto::password::{Place, Verdict};
use crate::kernel::text;
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Secret};

/// What a wrong password is told, and whoever is not let in.
pub(super) fn wrong_details() -> Error {
    Problem::new(ProblemCode::InvalidCredentials, "E-mail or password is wrong.").into()
}

/// Checks address and password. Somebody who is switched off is answered like nobody.
///
/// # Errors
/// `invalid_credentials`; `rate_limited` before anything was hashed.
pub(super) async fn check(
    with: Checks<'_>,
    realm: &Realm,
    email: &str,
    password: Secret<String>,
    origin: &Origin,
) -> Result<Standing> {
    let place = with.passwords.place()?;
    let name = text::login_name(email);
    let found = user::by_address(with.db, realm.id, &name).await?;
    let ip = origin.ip.as_deref();
    let is_known = realm_token::is_known_place(with.db, found.as_ref().map(|user| user.id), ip).await?;
    // Against a name, there being one to a user: whether somebody has it makes no difference. Wrong passwords from
    // elsewhere do not slow down whoever signs in from where they did before.
    let counted = match ip {
        Some(ip) if is_known => format!("{}@{ip}|{name}", realm.id),
        Some(_) | None => format!("{}:{name}", realm.id),
    };
    let subject = Subject::name(with.macs, Attempt::RealmPassword, &counted);
    let found = found.filter(|user| user.disabled_at.is_none());
    let attempt = verify(with, place, found, password);
    with.throttle.guard(with.db, subject, attempt).await
}

async fn verify(with: Checks<'_>, place: Place, found: Option<Standing>, password: Secret<String>) -> Result<Standing> {
    let hash = found.as_ref().and_then(|user| user.password_hash.clone());
    let verdict = with.passwords.verify(place, password, hash).await?;
    match (verdict, found) {
        (Verdict::Right, Some(user)) => Ok(user),
        (Verdict::RightButOutdated(hash), Some(user)) => {
            store_anew(with, &user, hash).await?;
            Ok(user)
        }
        (Verdict::Wrong, _) | (Verdict::Right | Verdict::RightButOutdated(_), None) => Err(wrong_details()),
    }
}

/// Stores the same password under today's parameters.
async fn store_anew(with: Checks<'_>, user: &Standing, hash: String) -> Result<()> {
    let tx = with.db.begin_write().await?;
    let sql = "UPDATE realm_users SET password_hash = $2 WHERE id = $1 AND password_hash = $3";
    let values = [user.id.into(), hash.into(), user.password_hash.clone().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    tx.commit_bookkeeping().await?;
    Ok(())
}
