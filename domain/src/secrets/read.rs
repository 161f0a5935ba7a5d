//! Reading one secret.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::change::{find, place};
use super::entity::version;
use crate::access::grant::SecretsRead;
use crate::access::{Caller, EnvAccess};
use crate::crypto::envelope::{DataKey, SecretField};
use crate::crypto::key_store::KeyStore;
use crate::journal::{Action, Entry, ReadEntry, Target};
use crate::kernel::id::SecretId;
use crate::kernel::{Error, Problem, Reads, Result, Secret, Timestamp};

/// A secret, opened.
#[derive(Clone)]
pub struct Opened {
    pub id: SecretId,
    pub key: String,
    pub value: Secret<String>,
    pub comment: Secret<String>,
    pub version: i64,
    pub created_at: Timestamp,
    /// When this version was written.
    pub updated_at: Timestamp,
}

/// Opens the current version of a secret, or the one asked for.
///
/// # Errors
/// `not_found` when there is no such secret, no such version, or it was destroyed.
pub async fn get(
    from: &impl Reads,
    keys: &KeyStore,
    access: &EnvAccess<SecretsRead>,
    key: &str,
    version: Option<i64>,
) -> Result<Opened> {
    let secret = find(from, access.env.id, key)
        .await?
        .filter(|secret| secret.deleted_at.is_none())
        .ok_or_else(Problem::not_found)?;
    let wanted = version.unwrap_or(secret.version);
    let row = version_row(from, secret.id, wanted)
        .await?
        .ok_or_else(Problem::not_found)?;
    let sealed = row.sealed_value.as_deref().ok_or_else(Problem::not_found)?;
    let value = open(
        from,
        keys,
        sealed,
        &place(access, secret.id, wanted, SecretField::Value),
    )
    .await?;
    let comment = match &row.sealed_comment {
        Some(blob) => {
            open(
                from,
                keys,
                blob,
                &place(access, secret.id, wanted, SecretField::Comment),
            )
            .await?
        }
        None => Secret::new(String::new()),
    };
    Ok(Opened {
        id: secret.id,
        key: secret.key,
        value,
        comment,
        version: wanted,
        created_at: secret.created_at,
        updated_at: row.created_at,
    })
}

/// The event of a value's being read.
pub fn event(caller: &Caller, access: &EnvAccess<SecretsRead>, opened: &Opened) -> ReadEntry {
    let entry = Entry::in_org(access.org.id, Action::SecretRead, Target::Secret(opened.id))
        .project(access.project.id)
        .environment(access.env.id, access.env.revision)
        .with("key", opened.key.clone())
        .with("version", opened.version);
    ReadEntry {
        origin: caller.origin.clone(),
        entry,
    }
}

async fn version_row(from: &impl Reads, secret: SecretId, number: i64) -> Result<Option<version::Model>> {
    Ok(version::Entity::find()
        .filter(version::Column::SecretId.eq(secret))
        .filter(version::Column::Version.eq(number))
        .one(from.conn())
        .await?)
}

async fn open(from: &impl Reads, keys: &KeyStore, blob: &[u8], aad: &[u8]) -> Result<Secret<String>> {
    open_with(&*keys.of_blob(from, blob).await?, blob, aad)
}

/// Opens a sealed text; one that does not open is an error, never an empty value.
pub(super) fn open_with(key: &DataKey, blob: &[u8], aad: &[u8]) -> Result<Secret<String>> {
    let bytes = key.open(aad, blob)?;
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| Error::internal("a stored value is not UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}
