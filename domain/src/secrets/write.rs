//! Writing and deleting one secret.

use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};

use super::change::{self, Done, Precondition, author, find, lock, place};
use super::entity::{secret, version};
use super::key::{check_key, check_texts};
use super::read::open_with;
use crate::access::grant::{SecretsDelete, SecretsWrite};
use crate::access::{Caller, EnvAccess};
use crate::crypto::envelope::{SecretField, blob_digest};
use crate::crypto::key_store::{KeyStore, ProjectKeys};
use crate::journal::KeyChange;
use crate::kernel::id::SecretId;
use crate::kernel::{Problem, ProblemCode, Reads, Result, Secret, Timestamp, WriteTx};

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
    let current = Current::find(tx, access, key).await?;
    precondition.check(current.as_ref().and_then(Current::live_version))?;
    let comment = stored_comment(tx, keys, access, current.as_ref()).await?;
    let keys = keys.project(tx, access.project.id).await?;
    Writer {
        tx,
        keys,
        caller,
        access,
        key,
        revision,
    }
    .store(current, comment, new)
    .await
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
    put(tx, keys, caller, access, key, new, Precondition::Absent)
        .await
        .map_err(|error| match error.code() {
            Some(ProblemCode::VersionMismatch) => {
                let detail = "A secret of this key exists. Use PUT to change it.";
                Problem::new(ProblemCode::KeyTaken, detail).with("field", "key").into()
            }
            _ => error,
        })
}

/// A secret with what is stored of its current version, the value left out.
#[derive(FromQueryResult)]
struct Current {
    id: SecretId,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    deleted_at: Option<Timestamp>,
    fingerprint: Vec<u8>,
    sealed_comment: Option<Vec<u8>>,
}

impl Current {
    async fn find(tx: &WriteTx, access: &EnvAccess<SecretsWrite>, key: &str) -> Result<Option<Self>> {
        let sql = "SELECT s.id, s.version, s.created_at, s.updated_at, s.deleted_at, v.fingerprint, v.sealed_comment
            FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version
            WHERE s.environment_id = $1 AND s.key = $2";
        let values = [access.env.id.into(), key.into()];
        Ok(Self::find_by_statement(tx.sql(sql, values)).one(tx.conn()).await?)
    }

    fn live_version(&self) -> Option<i64> {
        self.deleted_at.is_none().then_some(self.version)
    }
}

/// The comment that is stored now. A deleted secret that is made again starts without its old one.
async fn stored_comment(
    tx: &WriteTx,
    keys: &KeyStore,
    access: &EnvAccess<SecretsWrite>,
    current: Option<&Current>,
) -> Result<Secret<String>> {
    match current {
        Some(Current {
            id,
            version,
            deleted_at: None,
            sealed_comment: Some(blob),
            ..
        }) => {
            let key = keys.of_blob(tx, blob).await?;
            open_with(&key, blob, &place(access, *id, *version, SecretField::Comment))
        }
        Some(_) | None => Ok(Secret::new(String::new())),
    }
}

/// One write of one key.
struct Writer<'a> {
    tx: &'a WriteTx,
    keys: ProjectKeys,
    caller: &'a Caller,
    access: &'a EnvAccess<SecretsWrite>,
    key: &'a str,
    /// The environment's revision before the write.
    revision: i64,
}

impl Writer<'_> {
    /// `comment` is the one that is stored now.
    async fn store(self, current: Option<Current>, comment: Secret<String>, new: NewValue) -> Result<Written> {
        if let Some(current) = &current
            && self.is_same(current, &comment, &new)
        {
            return Ok(self.unchanged(current, comment));
        }
        let comment = new.comment.unwrap_or(comment);
        let (id, version, created_at) = match &current {
            Some(current) => (current.id, current.version + 1, current.created_at),
            None => (self.tx.new_id()?, 1, self.tx.now()),
        };
        self.store_secret(id, version, current.is_some()).await?;
        let digest = self.store_version(id, version, &new.value, &comment).await?;
        let is_new = current.as_ref().and_then(Current::live_version).is_none();
        let (done, outcome) = if is_new {
            (Done::Created, Outcome::Created)
        } else {
            (Done::Updated, Outcome::Updated)
        };
        let revision = self.revision + 1;
        let changed = KeyChange {
            key: self.key.to_owned(),
            version,
            secret_id: id,
            digest: Some(digest),
        };
        change::record(self.tx, self.caller, self.access, revision, done, changed).await?;
        let (key, updated_at) = (self.key.to_owned(), self.tx.now());
        Ok(Written {
            outcome,
            id,
            key,
            version,
            revision,
            comment,
            created_at,
            updated_at,
        })
    }

    fn is_same(&self, current: &Current, comment: &Secret<String>, new: &NewValue) -> bool {
        let same_comment = new.comment.as_ref().is_none_or(|new| new.expose() == comment.expose());
        let same_value = self
            .keys
            .fingerprint
            .matches(new.value.expose().as_bytes(), &current.fingerprint);
        current.deleted_at.is_none() && same_value && same_comment
    }

    fn unchanged(self, current: &Current, comment: Secret<String>) -> Written {
        let Current {
            id,
            version,
            created_at,
            updated_at,
            ..
        } = *current;
        let (key, revision) = (self.key.to_owned(), self.revision);
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

    async fn store_secret(&self, id: SecretId, version: i64, exists: bool) -> Result<()> {
        let tx = self.tx;
        if exists {
            let sql = "UPDATE secrets SET version = $2, updated_at = $3, deleted_at = NULL WHERE id = $1";
            tx.conn()
                .execute_raw(tx.sql(sql, [id.into(), version.into(), tx.now().into()]))
                .await?;
            return Ok(());
        }
        let row = secret::ActiveModel {
            id: Set(id),
            org_id: Set(self.access.org.id),
            project_id: Set(self.access.project.id),
            environment_id: Set(self.access.env.id),
            key: Set(self.key.to_owned()),
            version: Set(version),
            created_at: Set(tx.now()),
            updated_at: Set(tx.now()),
            deleted_at: Set(None),
        };
        secret::Entity::insert(row).exec_without_returning(tx.conn()).await?;
        Ok(())
    }

    /// Seals and stores a version; returns the digest of the sealed value.
    async fn store_version(
        &self,
        id: SecretId,
        version: i64,
        value: &Secret<String>,
        comment: &Secret<String>,
    ) -> Result<String> {
        let seal = |text: &str, field| {
            let place = place(self.access, id, version, field);
            self.keys.data.seal(self.tx.rng(), &place, text.as_bytes())
        };
        let sealed_value = seal(value.expose(), SecretField::Value)?;
        let has_comment = !comment.expose().is_empty();
        let sealed_comment = has_comment
            .then(|| seal(comment.expose(), SecretField::Comment))
            .transpose()?;
        let digest = hex::encode(blob_digest(&sealed_value));
        let (created_by_type, created_by_id) = author(self.caller)?;
        let row = version::ActiveModel {
            secret_id: Set(id),
            version: Set(version),
            sealed_value: Set(Some(sealed_value)),
            sealed_comment: Set(sealed_comment),
            fingerprint: Set(self.keys.fingerprint.of(value.expose().as_bytes()).to_vec()),
            created_by_type: Set(created_by_type.to_owned()),
            created_by_id: Set(created_by_id),
            created_at: Set(self.tx.now()),
            destroyed_at: Set(None),
        };
        version::Entity::insert(row)
            .exec_without_returning(self.tx.conn())
            .await?;
        Ok(digest)
    }
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
