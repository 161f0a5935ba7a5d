//! What is shown for tokens of a realm, and whether it is good.

use super::password;
use super::realm::Realm;
use super::user::Standing;
use crate::access::{Caller, Origin, Principal};
use crate::auth::authenticate::{Shown, authenticate};
use crate::auth::password::Checks;
use crate::kernel::id::ServiceAccountId;
use crate::kernel::{Error, Problem, ProblemCode, Result, Secret};

/// What is to be traded for tokens.
pub enum Grant {
    /// Of a user of the realm; never of an account of the platform.
    Password {
        email: String,
        password: Secret<String>,
    },
    /// Id and key of a service account of the organisation.
    ClientCredentials {
        client_id: String,
        client_secret: Secret<String>,
    },
    RefreshToken(String),
}

/// What was good when it was looked at.
pub enum Proved {
    User(User),
    Account(ServiceAccountId, Box<Caller>),
    /// It is looked at when it is traded.
    RefreshToken(String),
}

/// A user who has shown its password.
pub struct User(pub(super) Standing);

pub(super) fn wrong_client() -> Error {
    let detail = "The client is unknown or switched off, or its secret is wrong.";
    Problem::new(ProblemCode::InvalidCredentials, detail).into()
}

/// Looks at what is shown. Hashing takes a while, so it comes before the transaction that gives tokens.
///
/// # Errors
/// `invalid_credentials`, whatever is wrong; `rate_limited` before anything was hashed.
pub async fn prove(with: Checks<'_>, realm: &Realm, grant: Grant, origin: &Origin) -> Result<Proved> {
    match grant {
        Grant::Password { email, password } => {
            let user = password::check(with, realm, &email, password, origin).await?;
            Ok(Proved::User(User(user)))
        }
        Grant::ClientCredentials {
            client_id,
            client_secret,
        } => account(with, realm, &client_id, &client_secret, origin).await,
        Grant::RefreshToken(text) => Ok(Proved::RefreshToken(text)),
    }
}

async fn account(
    with: Checks<'_>,
    realm: &Realm,
    client_id: &str,
    secret: &Secret<String>,
    origin: &Origin,
) -> Result<Proved> {
    let id: ServiceAccountId = client_id.parse().map_err(|_| wrong_client())?;
    let text = secret.expose();
    let shown = authenticate(with.db, with.macs, text, Shown::ApiKeyHeader, origin.clone()).await;
    let caller = shown.map_err(|error| match error.code() {
        Some(ProblemCode::Unauthenticated) => wrong_client(),
        Some(_) | None => error,
    })?;
    let is_its_own = caller.actor.principal == Principal::ServiceAccount(id);
    if !is_its_own || caller.actor.ceiling.org != Some(realm.id) {
        return Err(wrong_client());
    }
    Ok(Proved::Account(id, Box::new(caller)))
}
