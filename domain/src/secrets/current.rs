//! What is stored of secrets now, values left out.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, QueryResult, Value};

use super::place::EnvPlace;
use super::read::open_with;
use crate::crypto::envelope::SecretField;
use crate::crypto::key_store::KeyStore;
use crate::kernel::id::{EnvId, SecretId};
use crate::kernel::lists::is_one_of_texts;
use crate::kernel::{Reads, Result, Secret, Timestamp};

/// A secret, live or deleted, with its newest version.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) id: SecretId,
    pub(super) key: String,
    pub(super) version: i64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
    /// Of the newest value.
    pub(super) fingerprint: Vec<u8>,
    pub(super) sealed_comment: Option<Vec<u8>>,
    pub(super) destroyed_at: Option<Timestamp>,
}

/// Of the newest version only what has to be known: to look a thousand of them up costs more than all else that is read for a
/// change, and most have no comment and are not deleted.
const SELECT: &str = "SELECT s.id, s.key, s.version, s.created_at, s.updated_at, s.deleted_at, s.fingerprint,
        CASE WHEN s.has_comment THEN (SELECT v.sealed_comment FROM secret_versions v
            WHERE v.secret_id = s.id AND v.version = s.version) END AS sealed_comment,
        CASE WHEN s.deleted_at IS NOT NULL THEN (SELECT v.destroyed_at FROM secret_versions v
            WHERE v.secret_id = s.id AND v.version = s.version) END AS destroyed_at
     FROM secrets s WHERE s.environment_id = $1";

impl Current {
    /// Reads a row of [`SELECT`], by place: by name it would take several times as long.
    fn of_row(row: &QueryResult) -> Result<Self, DbErr> {
        Ok(Self {
            id: row.try_get_by_index(0)?,
            key: row.try_get_by_index(1)?,
            version: row.try_get_by_index(2)?,
            created_at: row.try_get_by_index(3)?,
            updated_at: row.try_get_by_index(4)?,
            deleted_at: row.try_get_by_index(5)?,
            fingerprint: row.try_get_by_index(6)?,
            sealed_comment: row.try_get_by_index(7)?,
            destroyed_at: row.try_get_by_index(8)?,
        })
    }

    pub(super) fn is_live(&self) -> bool {
        self.deleted_at.is_none()
    }

    pub(super) fn live_version(&self) -> Option<i64> {
        self.is_live().then_some(self.version)
    }

    /// The comment that is stored now. A deleted secret that is made again starts without its old one.
    pub(super) async fn comment(
        &self,
        from: &impl Reads,
        store: &KeyStore,
        place: &EnvPlace,
    ) -> Result<Secret<String>> {
        if self.is_live() {
            self.kept_comment(from, store, place).await
        } else {
            Ok(Secret::new(String::new()))
        }
    }

    /// The comment of the newest version, also of a deleted secret: what comes back when it is restored.
    pub(super) async fn kept_comment(
        &self,
        from: &impl Reads,
        store: &KeyStore,
        place: &EnvPlace,
    ) -> Result<Secret<String>> {
        match &self.sealed_comment {
            Some(blob) => {
                let key = store.of_blob(from, blob).await?;
                open_with(&key, blob, &place.aad(self.id, self.version, SecretField::Comment))
            }
            None => Ok(Secret::new(String::new())),
        }
    }
}

#[derive(FromQueryResult)]
struct Count {
    n: i64,
}

/// How many secrets an environment has.
///
/// # Errors
/// [`crate::kernel::Error::Db`].
pub async fn count_live(from: &impl Reads, env: EnvId) -> Result<i64> {
    let sql = "SELECT COUNT(*) AS n FROM secrets WHERE environment_id = $1 AND deleted_at IS NULL";
    let row = Count::find_by_statement(from.sql(sql, [env.into()]))
        .one(from.conn())
        .await?;
    Ok(row.map_or(0, |row| row.n))
}

/// The secret under a key: the live one, or else the one that was deleted last.
pub(super) async fn of_key(from: &impl Reads, env: EnvId, key: &str) -> Result<Option<Current>> {
    Ok(of_keys(from, env, &[key]).await?.remove(key))
}

/// The secrets under some keys, in one statement: for each the live one, or else the one that was deleted last.
pub(super) async fn of_keys(from: &impl Reads, env: EnvId, keys: &[&str]) -> Result<HashMap<String, Current>> {
    let (is_one, keys) = match keys {
        [] => return Ok(HashMap::new()),
        [key] => ("s.key = $2".to_owned(), (*key).into()),
        keys => is_one_of_texts(from.backend(), "s.key", "$2", keys),
    };
    let rows = found(from, &format!("{SELECT} AND {is_one}"), vec![env.into(), keys]).await?;
    Ok(by_key(rows))
}

async fn found(from: &impl Reads, sql: &str, values: Vec<Value>) -> Result<Vec<Current>> {
    let rows = from.conn().query_all_raw(from.sql(sql, values)).await?;
    Ok(rows.iter().map(Current::of_row).collect::<Result<_, _>>()?)
}

/// Each key with its live secret, or else the one that was deleted last.
pub(super) fn by_key(mut rows: Vec<Current>) -> HashMap<String, Current> {
    rows.sort_by_key(|row| (row.is_live(), row.deleted_at));
    rows.into_iter().map(|row| (row.key.clone(), row)).collect()
}

/// Every secret of an environment, the deleted ones too.
pub(super) async fn all(from: &impl Reads, env: EnvId) -> Result<Vec<Current>> {
    found(from, &format!("{SELECT} ORDER BY s.key"), vec![env.into()]).await
}
