//! Secrets in and out as text.

use std::sync::Arc;

use super::bulk::{self, BulkResult, BulkSet, Mode};
use super::editor::NewValue;
use super::format::{self, Format};
use super::list::Listing;
use super::read::Opened;
use crate::access::grant::{SecretsDelete, SecretsWrite};
use crate::access::{Caller, EnvAccess};
use crate::crypto::key_store::KeyStore;
use crate::kernel::{Problem, Result, Secret, WriteTx};

/// A text to be stored.
pub struct Import {
    pub format: Format,
    pub text: Secret<String>,
    /// What becomes of the keys that the text does not name.
    pub mode: Mode,
    /// Tells what would happen, and does nothing.
    pub dry_run: bool,
}

/// Stores the secrets of a text: all of them or none. Comments that there are stay.
///
/// # Errors
/// `invalid_field` naming the line and what is wrong there, never quoting it; otherwise as [`bulk::set`].
pub async fn import(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    deletes: Option<&EnvAccess<SecretsDelete>>,
    import: Import,
) -> Result<BulkResult> {
    let Import {
        format,
        text,
        mode,
        dry_run,
    } = import;
    let entries = format::read(format, text.expose())
        .map_err(|error| Problem::field("body", error.fault.as_str(), error.to_string()))?;
    let secrets = entries
        .into_iter()
        .map(|entry| {
            let value = NewValue {
                value: entry.value,
                comment: None,
            };
            (entry.key, value)
        })
        .collect();
    let set = BulkSet { secrets, mode, dry_run };
    bulk::set(tx, keys, caller, access, deletes, set).await
}

/// Writes secrets as text. `name` is what a Kubernetes Secret is called.
///
/// # Errors
/// `invalid_field` naming a key that the format cannot hold exactly.
pub fn export(format: Format, listing: &Listing<Arc<Opened>>, name: &str) -> Result<Secret<String>> {
    let entries = listing.page.data.iter();
    let entries = entries.map(|opened| (opened.key.as_str(), opened.value.expose().as_str()));
    let text = format::write(format, entries, name).map_err(|error| {
        Problem::field(
            "format",
            "cannot_hold",
            format!("cannot hold `{}`: {}", error.key, error.reason),
        )
    })?;
    Ok(Secret::new(text))
}
