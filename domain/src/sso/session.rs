//! Sessions that came of a provider, and ending the provider's session with ours (OpenID Connect RP-Initiated Logout).

use sea_orm::{ConnectionTrait, FromQueryResult};
use url::Url;
use uuid::Uuid;

use super::connection::Connection;
use super::provider::{self, Place, Provider};
use crate::access::Caller;
use crate::crypto::{Token, TokenMacKey};
use crate::foreign::Issuers;
use crate::kernel::{Reads, Result, WriteTx};

/// Notes which provider a new session came from.
pub(super) async fn note(tx: &WriteTx, macs: &TokenMacKey, access: &Token, place: Place) -> Result<()> {
    let sql = "INSERT INTO sso_sessions (family_id, provider_id, created_at)
               SELECT family_id, $2, $3 FROM credentials WHERE secret_mac = $1 AND family_id IS NOT NULL";
    let values = [macs.mac(access).to_vec().into(), place.id().into(), tx.now().into()];
    tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(())
}

#[derive(FromQueryResult)]
struct Came {
    provider_id: Uuid,
}

/// The provider that the caller's session came from, if it came from one.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn provider_of(from: &impl Reads, caller: &Caller) -> Result<Option<Provider>> {
    let sql =
        "SELECT s.provider_id FROM sso_sessions s JOIN credentials c ON c.family_id = s.family_id WHERE c.id = $1";
    let found = Came::find_by_statement(from.sql(sql, [caller.credential.into()]))
        .one(from.conn())
        .await?;
    match found {
        None => Ok(None),
        Some(Came { provider_id }) => provider::find(from, Place::of_id(provider_id)).await,
    }
}

/// Where the browser goes to end the provider's session too; `None` when the provider has no such place, or does not
/// answer: signing out here does not wait for it. `back` is where it goes then.
pub async fn logout_url(issuers: &Issuers, provider: &Provider, from: &impl Reads, back: &str) -> Option<String> {
    let connection = Connection::of(issuers, provider, from.now()).await.ok()?;
    let mut url = Url::parse(&connection.end_session?).ok()?;
    url.query_pairs_mut()
        .append_pair("client_id", &connection.client_id)
        .append_pair("post_logout_redirect_uri", back);
    Some(url.into())
}
