//! Who makes a token request: a client, or a service account with its key for a secret.

use super::refusal::{Failure, Outcome, Refusal, RefusalCode};
use super::{Client, client};
use crate::access::{Caller, Origin, Principal};
use crate::auth::authenticate::{Shown, authenticate};
use crate::auth::client_secret;
use crate::crypto::token::TokenMacKey;
use crate::kernel::id::ServiceAccountId;
use crate::kernel::{Db, ProblemCode, Secret};

/// What a request shows of its maker.
pub struct Proof {
    pub client_id: Option<String>,
    pub secret: Option<Secret<String>>,
}

/// Who it is.
#[derive(Clone, Debug)]
pub enum Party {
    Client(Box<Client>),
    Account(ServiceAccountId, Box<Caller>),
}

impl Party {
    /// The `client_id` that it goes by.
    pub fn client_id(&self) -> String {
        match self {
            Self::Client(client) => client.client_id(),
            Self::Account(id, _) => id.to_string(),
        }
    }

    /// The client; a service account is none.
    ///
    /// # Errors
    /// `unauthorized_client`.
    pub fn client(&self) -> Result<&Client, Refusal> {
        match self {
            Self::Client(client) => Ok(client),
            Self::Account(..) => Err(Refusal::new(
                RefusalCode::UnauthorizedClient,
                "A service account uses the client credentials grant.",
            )),
        }
    }
}

fn refused() -> Failure {
    Refusal::new(
        RefusalCode::InvalidClient,
        "The client is unknown or switched off, or its secret is wrong.",
    )
    .into()
}

/// Finds out who asks. A public client shows its id, a confidential one also its secret; a public one that shows a
/// secret is refused, as it has none.
///
/// # Errors
/// `invalid_client`, whatever it is.
pub async fn identify(db: &Db, macs: &TokenMacKey, proof: Proof, origin: &Origin) -> Outcome<Party> {
    let Proof { client_id, secret } = proof;
    let client_id = client_id.ok_or_else(refused)?;
    if let Ok(id) = client_id.parse::<ServiceAccountId>() {
        return account(db, macs, id, secret, origin).await;
    }
    let client = client::find(db, &client_id).await?.ok_or_else(refused)?;
    let is_proved = match (client.is_confidential, &secret) {
        (true, Some(secret)) => client_secret::is_of(db, macs, client.id, secret.expose()).await?,
        (false, None) => true,
        (true, None) | (false, Some(_)) => false,
    };
    if is_proved {
        Ok(Party::Client(Box::new(client)))
    } else {
        Err(refused())
    }
}

async fn account(
    db: &Db,
    macs: &TokenMacKey,
    id: ServiceAccountId,
    secret: Option<Secret<String>>,
    origin: &Origin,
) -> Outcome<Party> {
    let secret = secret.ok_or_else(refused)?;
    let shown = authenticate(db, macs, secret.expose(), Shown::ApiKeyHeader, origin.clone()).await;
    let caller = shown.map_err(|error| match error.code() {
        Some(ProblemCode::Unauthenticated) => refused(),
        Some(_) | None => Failure::Fault(error),
    })?;
    if caller.actor.principal != Principal::ServiceAccount(id) {
        return Err(refused());
    }
    Ok(Party::Account(id, Box::new(caller)))
}
