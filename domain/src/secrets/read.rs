//! Reading one secret.

use std::sync::{Arc, OnceLock};

use sea_orm::{EntityTrait, FromQueryResult};

use super::editor::NewValue;
use super::entity::version;
use super::place::EnvPlace;
use super::warm::WarmReads;
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
    /// What it looks like among others in an answer.
    pub entry: Rendered,
}

/// What somebody made of an opened secret: made when it is first asked for, and wiped with the secret.
#[derive(Clone, Default)]
pub struct Rendered(OnceLock<Secret<Vec<u8>>>);

impl Rendered {
    /// What was made, or is made now.
    ///
    /// # Errors
    /// What making it fails with.
    pub fn or_make(&self, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<&[u8]> {
        if let Some(bytes) = self.0.get() {
            return Ok(bytes.expose());
        }
        let new = Secret::new(make()?);
        Ok(self.0.get_or_init(|| new).expose())
    }
}

#[derive(FromQueryResult)]
struct Row {
    id: SecretId,
    created_at: Timestamp,
    version: i64,
    updated_at: Timestamp,
    sealed_value: Option<Vec<u8>>,
    sealed_comment: Option<Vec<u8>>,
    revision: i64,
}

/// Opens the current version of a secret, or the one asked for.
///
/// # Errors
/// `not_found` when there is no such secret, no such version, or it was destroyed.
pub async fn get(
    from: &impl Reads,
    keys: &KeyStore,
    warm: &WarmReads,
    access: &EnvAccess<SecretsRead>,
    key: &str,
    version: Option<i64>,
) -> Result<Arc<Opened>> {
    if version.is_none()
        && let Some(opened) = warm.one_at(access.env.id, access.env.revision, key)
    {
        return Ok(opened?);
    }
    // With the revision that the secret is of: it may be a later one than that which the caller's rights were read with.
    let sql = "SELECT s.id, s.created_at, v.version, v.created_at AS updated_at, v.sealed_value, v.sealed_comment,
            e.revision
        FROM secrets s
        JOIN environments e ON e.id = s.environment_id
        JOIN secret_versions v ON v.secret_id = s.id AND v.version = COALESCE(CAST($3 AS bigint), s.version)
        WHERE s.environment_id = $1 AND s.key = $2 AND s.deleted_at IS NULL";
    let row = Row::find_by_statement(from.sql(sql, [access.env.id.into(), key.into(), version.into()]))
        .one(from.conn())
        .await?
        .ok_or_else(Problem::not_found)?;
    let sealed = SealedTexts {
        secret: row.id,
        version: row.version,
        value: row.sealed_value.as_deref(),
        comment: row.sealed_comment.as_deref(),
    };
    let texts = sealed.open(from, keys, &access.into()).await?;
    let NewValue { value, comment } = texts.ok_or_else(Problem::not_found)?;
    let opened = Arc::new(Opened {
        id: row.id,
        key: key.to_owned(),
        value,
        comment: comment.unwrap_or_else(|| Secret::new(String::new())),
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
        entry: Rendered::default(),
    });
    if version.is_none() {
        warm.keep_one(access.env.id, row.revision, &opened);
    }
    Ok(opened)
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
    Ok(version::Entity::find_by_id((secret, number)).one(from.conn()).await?)
}

/// The texts of a version as they are stored.
pub(super) struct SealedTexts<'a> {
    pub(super) secret: SecretId,
    pub(super) version: i64,
    /// `None` when they were destroyed.
    pub(super) value: Option<&'a [u8]>,
    /// `None` also when there is none.
    pub(super) comment: Option<&'a [u8]>,
}

impl SealedTexts<'_> {
    /// Value and comment, as they would be stored again; `None` when they were destroyed.
    pub(super) async fn open(&self, from: &impl Reads, keys: &KeyStore, place: &EnvPlace) -> Result<Option<NewValue>> {
        let Some(sealed) = self.value else {
            return Ok(None);
        };
        let aad = |field| place.aad(self.secret, self.version, field);
        let value = open(from, keys, sealed, &aad(SecretField::Value)).await?;
        let comment = match self.comment {
            Some(blob) => open(from, keys, blob, &aad(SecretField::Comment)).await?,
            None => Secret::new(String::new()),
        };
        Ok(Some(NewValue {
            value,
            comment: Some(comment),
        }))
    }
}

async fn texts(from: &impl Reads, keys: &KeyStore, place: &EnvPlace, row: &version::Model) -> Result<Option<NewValue>> {
    let sealed = SealedTexts {
        secret: row.secret_id,
        version: row.version,
        value: row.sealed_value.as_deref(),
        comment: row.sealed_comment.as_deref(),
    };
    sealed.open(from, keys, place).await
}

/// Value and comment of a version; `None` when there is no such version, or it was destroyed.
pub(super) async fn texts_of(
    from: &impl Reads,
    keys: &KeyStore,
    place: &EnvPlace,
    secret: SecretId,
    number: i64,
) -> Result<Option<NewValue>> {
    match version_row(from, secret, number).await? {
        Some(row) => texts(from, keys, place, &row).await,
        None => Ok(None),
    }
}

/// The value of the current version of a live secret.
pub(super) async fn value_of(
    from: &impl Reads,
    keys: &KeyStore,
    place: &EnvPlace,
    secret: SecretId,
    number: i64,
) -> Result<Secret<String>> {
    let found = texts_of(from, keys, place, secret, number).await?;
    let missing = || Error::internal("a live secret whose current version is gone");
    Ok(found.ok_or_else(missing)?.value)
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
