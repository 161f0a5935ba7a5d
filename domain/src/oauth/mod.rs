//! Strongroom as an OAuth 2.1 authorization server and OpenID provider: partners' applications sign people in, and act
//! for them as far as they allow; devices and service accounts get tokens of their own.
//!
//! Everything follows RFC 6749 with the advice of RFC 9700: codes with PKCE for every client, redirects compared letter
//! by letter, refresh tokens that are good for one trade.

pub mod authorize;
pub mod client;
pub mod client_change;
mod code;
pub mod consents;
pub mod device;
pub mod discovery;
mod entity;
pub mod exchange;
pub mod grant;
pub mod introspect;
pub mod party;
mod pkce;
pub mod redirect;
mod refresh;
pub mod refusal;
pub mod revoke;
pub mod scopes;
mod tokens;
pub mod userinfo;

pub use client::{Client, GrantType};
pub use refusal::{Failure, Outcome, Refusal, RefusalCode};
pub use scopes::Scopes;
pub use tokens::{Issued, Minter};

use crate::kernel::{Reads, Result, WriteTx};
use sea_orm::ConnectionTrait;

/// Deletes codes, devices, consents and tokens whose time was over a day ago; returns how many rows.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn prune(tx: &WriteTx) -> Result<u64> {
    let mut deleted = crate::auth::oauth_token::prune(tx).await?;
    let before = tx.now() - std::time::Duration::from_hours(24);
    for sql in [
        "DELETE FROM oauth_codes WHERE expires_at < $1",
        "DELETE FROM oauth_devices WHERE expires_at < $1",
        "DELETE FROM oauth_grants WHERE ends_at < $1",
    ] {
        deleted += tx
            .conn()
            .execute_raw(tx.sql(sql, [before.into()]))
            .await?
            .rows_affected();
    }
    Ok(deleted)
}
