//! Registering by proving the address first: start, code, password. Starting does the same for every address; whoever
//! has an account already is told so by mail alone.

use super::challenge::Purpose;
use super::challenge::code::{self, Begun, CODE_TTL};
use super::recipient;
use crate::access::Origin;
use crate::crypto::token::TokenMacKey;
use crate::kernel::id::ChallengeId;
use crate::kernel::{Result, Secret, WriteTx, text};
use crate::mail::Template;

/// Begins a registration for an address, and queues its mail.
///
/// # Errors
/// `invalid_field` for what is no address.
pub async fn begin(tx: &WriteTx, macs: &TokenMacKey, address: &str, origin: &Origin) -> Result<Begun> {
    let address = text::email("email", address)?;
    let template = Template::RegistrationCode;
    code::begin(tx, macs, Purpose::Registration, template, &address, CODE_TTL, origin).await
}

/// The mail of a registration that has begun.
pub enum Mailing {
    /// Brings the code.
    Code { to: String, code: Secret<String> },
    /// Tells that there is an account already.
    Taken { to: String, first_name: String },
}

/// Makes the code, for the worker, as it sends the mail. `None` when the challenge has ended, or the address belongs to
/// an account that is disabled.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn issue(tx: &WriteTx, macs: &TokenMacKey, id: ChallengeId) -> Result<Option<Mailing>> {
    let Some(waiting) = code::waiting(tx, id).await? else {
        return Ok(None);
    };
    let Some(owner) = recipient::owner_of(tx, &waiting.address.canonical).await? else {
        let code = code::issue_code(tx, macs, Purpose::Registration, id, None).await?;
        let to = waiting.address.display;
        return Ok(Some(Mailing::Code { to, code }));
    };
    Ok(owner.disabled_at.is_none().then_some(Mailing::Taken {
        to: owner.address,
        first_name: owner.first_name,
    }))
}
