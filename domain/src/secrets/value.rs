//! Writing, reading and deleting one secret.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::change::{self, Done, Precondition, author, find, live_version, lock, place};
use super::entity::{secret, version};
use super::key::{check_key, check_texts};
use crate::access::grant::{SecretsDelete, SecretsRead, SecretsWrite};
use crate::access::{Caller, EnvAccess};
use crate::crypto::envelope::{DataKey, SecretField, blob_digest};
use crate::crypto::key_store::{KeyScope, KeyStore};
use crate::journal::{Action, Entry, KeyChange, ReadEntry, Target};
use crate::kernel::id::SecretId;
use crate::kernel::{Error, Problem, ProblemCode, Reads, Result, Secret, Timestamp, WriteTx};

/// What is to be stored.
pub struct NewValue {
    pub value: Secret<String>,
    /// `None` keeps the comment that there is.
    pub comment: Option<Secret<String>>,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Updated,
    /// The same value and comment were stored already: no new version, no new revision.
    Unchanged,
}

/// A secret after a write. It does not carry the value.
#[derive(Clone)]
pub struct Written {
    pub outcome: Outcome,
    pub id: SecretId,
    pub key: String,
    pub version: i64,
    /// The environment's revision.
    pub revision: i64,
    pub comment: Secret<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Stores a value under a key, making the secret or giving it a new version.
///
/// # Errors
/// `invalid_field`; `version_mismatch` when the precondition does not hold.
pub async fn put(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    key: &str,
    new: NewValue,
    precondition: Precondition,
) -> Result<Written> {
    check_key(key)?;
    check_texts(
        new.value.expose(),
        new.comment.as_ref().map_or("", |comment| comment.expose()),
    )?;
    let revision = lock(tx, access.env.id).await?;
    let existing = find(tx, access.env.id, key).await?;
    precondition.check(live_version(existing.as_ref()))?;
    let Some(existing) = existing else {
        let id = tx.new_id()?;
        return write(
            tx,
            keys,
            caller,
            access,
            Draft {
                id,
                key,
                version: 1,
                revision: revision + 1,
                existing: None,
            },
            new,
        )
        .await;
    };
    let stored = Stored::load(tx, keys, access, &existing).await?;
    let same_value = keys
        .fingerprint(tx, access.project.id)
        .await?
        .matches(new.value.expose().as_bytes(), &stored.fingerprint);
    let same_comment = new
        .comment
        .as_ref()
        .is_none_or(|comment| comment.expose() == stored.comment.expose());
    let new = NewValue {
        comment: new.comment.or(Some(stored.comment)),
        value: new.value,
    };
    if existing.deleted_at.is_none() && same_value && same_comment {
        return Ok(unchanged(existing, revision, new));
    }
    let draft = Draft {
        id: existing.id,
        key,
        version: existing.version + 1,
        revision: revision + 1,
        existing: Some(&existing),
    };
    write(tx, keys, caller, access, draft, new).await
}

/// Stores a value under a key that has none.
///
/// # Errors
/// `key_taken`, `invalid_field`.
pub async fn create(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    key: &str,
    new: NewValue,
) -> Result<Written> {
    lock(tx, access.env.id).await?;
    if live_version(find(tx, access.env.id, key).await?.as_ref()).is_some() {
        return Err(Problem::new(
            ProblemCode::KeyTaken,
            "A secret of this key exists. Use PUT to change it.",
        )
        .with("field", "key")
        .into());
    }
    put(tx, keys, caller, access, key, new, Precondition::Absent).await
}

/// What is stored of the current version, the value left sealed.
struct Stored {
    fingerprint: Vec<u8>,
    comment: Secret<String>,
}

impl Stored {
    async fn load(
        tx: &WriteTx,
        keys: &KeyStore,
        access: &EnvAccess<SecretsWrite>,
        secret: &secret::Model,
    ) -> Result<Self> {
        let row = version_row(tx, secret.id, secret.version)
            .await?
            .ok_or_else(|| Error::internal("a secret without its version"))?;
        let comment = match &row.sealed_comment {
            // A deleted secret that is made again starts without its old comment.
            Some(blob) if secret.deleted_at.is_none() => {
                open(
                    tx,
                    keys,
                    blob,
                    &place(access, secret.id, secret.version, SecretField::Comment),
                )
                .await?
            }
            Some(_) | None => Secret::new(String::new()),
        };
        Ok(Self {
            fingerprint: row.fingerprint,
            comment,
        })
    }
}

fn unchanged(existing: secret::Model, revision: i64, new: NewValue) -> Written {
    let secret::Model {
        id,
        org_id: _,
        project_id: _,
        environment_id: _,
        key,
        version,
        created_at,
        updated_at,
        deleted_at: _,
    } = existing;
    let comment = new.comment.unwrap_or_else(|| Secret::new(String::new()));
    Written {
        outcome: Outcome::Unchanged,
        id,
        key,
        version,
        revision,
        comment,
        created_at,
        updated_at,
    }
}

/// Numbers of a version about to be written.
struct Draft<'a> {
    id: SecretId,
    key: &'a str,
    version: i64,
    revision: i64,
    existing: Option<&'a secret::Model>,
}

async fn write(
    tx: &WriteTx,
    keys: &KeyStore,
    caller: &Caller,
    access: &EnvAccess<SecretsWrite>,
    draft: Draft<'_>,
    new: NewValue,
) -> Result<Written> {
    let Draft {
        id,
        key,
        version,
        revision,
        existing,
    } = draft;
    let data_key = keys.active(tx, KeyScope::Project(access.project.id)).await?;
    let comment = new.comment.unwrap_or_else(|| Secret::new(String::new()));
    let seal = |text: &str, field| data_key.seal(tx.rng(), &place(access, id, version, field), text.as_bytes());
    let sealed_value = seal(new.value.expose(), SecretField::Value)?;
    let sealed_comment = if comment.expose().is_empty() {
        None
    } else {
        Some(seal(comment.expose(), SecretField::Comment)?)
    };
    let digest = hex::encode(blob_digest(&sealed_value));
    let fingerprint = keys
        .fingerprint(tx, access.project.id)
        .await?
        .of(new.value.expose().as_bytes());
    store_secret(tx, access, id, key, version, existing).await?;
    let (created_by_type, created_by_id) = author(caller)?;
    let row = version::ActiveModel {
        secret_id: Set(id),
        version: Set(version),
        sealed_value: Set(Some(sealed_value)),
        sealed_comment: Set(sealed_comment),
        fingerprint: Set(fingerprint.to_vec()),
        created_by_type: Set(created_by_type.to_owned()),
        created_by_id: Set(created_by_id),
        created_at: Set(tx.now()),
        destroyed_at: Set(None),
    };
    version::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    let is_new = existing.is_none_or(|secret| secret.deleted_at.is_some());
    let done = if is_new { Done::Created } else { Done::Updated };
    let changed = KeyChange {
        key: key.to_owned(),
        version,
        secret_id: id,
        digest: Some(digest),
    };
    change::record(tx, caller, access, revision, done, changed).await?;
    let created_at = existing.map_or(tx.now(), |secret| secret.created_at);
    let outcome = if is_new { Outcome::Created } else { Outcome::Updated };
    Ok(Written {
        outcome,
        id,
        key: key.to_owned(),
        version,
        revision,
        comment,
        created_at,
        updated_at: tx.now(),
    })
}

async fn store_secret(
    tx: &WriteTx,
    access: &EnvAccess<SecretsWrite>,
    id: SecretId,
    key: &str,
    version: i64,
    existing: Option<&secret::Model>,
) -> Result<()> {
    if existing.is_some() {
        let sql = "UPDATE secrets SET version = $2, updated_at = $3, deleted_at = NULL WHERE id = $1";
        tx.conn()
            .execute_raw(tx.sql(sql, [id.into(), version.into(), tx.now().into()]))
            .await?;
        return Ok(());
    }
    let row = secret::ActiveModel {
        id: Set(id),
        org_id: Set(access.org.id),
        project_id: Set(access.project.id),
        environment_id: Set(access.env.id),
        key: Set(key.to_owned()),
        version: Set(version),
        created_at: Set(tx.now()),
        updated_at: Set(tx.now()),
        deleted_at: Set(None),
    };
    secret::Entity::insert(row).exec_without_returning(tx.conn()).await?;
    Ok(())
}

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
pub fn read_event(caller: &Caller, access: &EnvAccess<SecretsRead>, opened: &Opened) -> ReadEntry {
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

/// A secret that was deleted.
#[derive(Clone, Debug)]
pub struct Deleted {
    pub key: String,
    pub version: i64,
    pub revision: i64,
}

/// Deletes a secret. Its versions stay stored and can be brought back.
///
/// # Errors
/// `not_found`; `version_mismatch`.
pub async fn delete(
    tx: &WriteTx,
    caller: &Caller,
    access: &EnvAccess<SecretsDelete>,
    key: &str,
    precondition: Precondition,
) -> Result<Deleted> {
    let revision = lock(tx, access.env.id).await? + 1;
    let secret = find(tx, access.env.id, key)
        .await?
        .filter(|secret| secret.deleted_at.is_none())
        .ok_or_else(Problem::not_found)?;
    precondition.check(Some(secret.version))?;
    let sql = "UPDATE secrets SET deleted_at = $2, updated_at = $2 WHERE id = $1";
    tx.conn()
        .execute_raw(tx.sql(sql, [secret.id.into(), tx.now().into()]))
        .await?;
    let changed = KeyChange {
        key: secret.key.clone(),
        version: secret.version,
        secret_id: secret.id,
        digest: None,
    };
    change::record(tx, caller, access, revision, Done::Deleted, changed).await?;
    Ok(Deleted {
        key: secret.key,
        version: secret.version,
        revision,
    })
}
