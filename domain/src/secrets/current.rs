//! What is stored of secrets now, values left out.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult, QueryResult, Value};

use super::place::EnvPlace;
use super::read::open_with;
use crate::crypto::envelope::SecretField;
use crate::crypto::key_store::KeyStore;
use crate::kernel::id::{EnvId, SecretId};
use crate::kernel::lists::{id_param, is_one_of, is_one_of_texts, text_param};
use crate::kernel::{Reads, Result, Secret, Timestamp};

/// A secret, live or deleted, with its newest version.
#[derive(Clone, FromQueryResult)]
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

/// One secret with its newest version.
const ONE: &str =
    "SELECT s.id, s.key, s.version, s.created_at, s.updated_at, s.deleted_at, s.fingerprint, v.sealed_comment, v.destroyed_at
     FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version
     WHERE s.environment_id = $1 AND s.key = $2";
/// Many of them. To look a thousand versions up costs more than all else that is read for a change, and of most nothing is
/// needed.
const MANY: &str =
    "SELECT s.id, s.key, s.version, s.created_at, s.updated_at, s.deleted_at, s.fingerprint, s.has_comment
     FROM secrets s WHERE s.environment_id = $1";

/// What is read of the newest version of those that were deleted or have a comment.
#[derive(FromQueryResult)]
struct Rest {
    secret_id: SecretId,
    sealed_comment: Option<Vec<u8>>,
    destroyed_at: Option<Timestamp>,
}

impl Current {
    /// Reads a row of [`MANY`], by place: by name it would take several times as long. And whether its version has more to
    /// tell.
    fn of_many(row: &QueryResult) -> Result<(Self, bool), DbErr> {
        let current = Self {
            id: row.try_get_by_index(0)?,
            key: row.try_get_by_index(1)?,
            version: row.try_get_by_index(2)?,
            created_at: row.try_get_by_index(3)?,
            updated_at: row.try_get_by_index(4)?,
            deleted_at: row.try_get_by_index(5)?,
            fingerprint: row.try_get_by_index(6)?,
            sealed_comment: None,
            destroyed_at: None,
        };
        let has_more = !current.is_live() || row.try_get_by_index(7)?;
        Ok((current, has_more))
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
    let rows = match keys {
        [] => Vec::new(),
        [key] => {
            let one = Current::find_by_statement(from.sql(ONE, [env.into(), (*key).into()]));
            one.all(from.conn()).await?
        }
        keys => {
            let is_one = is_one_of_texts(from.backend(), "s.key", "$2");
            many(
                from,
                &format!("{MANY} AND {is_one}"),
                vec![env.into(), text_param(keys)],
            )
            .await?
        }
    };
    Ok(by_key(rows))
}

/// Secrets by a statement that begins as [`MANY`].
async fn many(from: &impl Reads, sql: &str, values: Vec<Value>) -> Result<Vec<Current>> {
    let rows = from.conn().query_all_raw(from.sql(sql, values)).await?;
    let rows = rows.iter().map(Current::of_many).collect::<Result<Vec<_>, _>>()?;
    let more = rows.iter().filter(|(_, has_more)| *has_more);
    let more: Vec<_> = more.map(|(current, _)| current.id.0).collect();
    let mut found: Vec<Current> = rows.into_iter().map(|(current, _)| current).collect();
    if more.is_empty() {
        return Ok(found);
    }
    let sql = format!(
        "SELECT v.secret_id, v.sealed_comment, v.destroyed_at
         FROM secrets s JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version WHERE {}",
        is_one_of(from.backend(), "s.id", "$1")
    );
    let rest = Rest::find_by_statement(from.sql(&sql, [id_param(more)]));
    let rest = rest.all(from.conn()).await?.into_iter();
    let mut rest: HashMap<SecretId, Rest> = rest.map(|rest| (rest.secret_id, rest)).collect();
    for current in &mut found {
        if let Some(rest) = rest.remove(&current.id) {
            current.sealed_comment = rest.sealed_comment;
            current.destroyed_at = rest.destroyed_at;
        }
    }
    Ok(found)
}

/// Each key with its live secret, or else the one that was deleted last.
pub(super) fn by_key(mut rows: Vec<Current>) -> HashMap<String, Current> {
    rows.sort_by_key(|row| (row.is_live(), row.deleted_at));
    rows.into_iter().map(|row| (row.key.clone(), row)).collect()
}

/// Every secret of an environment, the deleted ones too.
pub(super) async fn all(from: &impl Reads, env: EnvId) -> Result<Vec<Current>> {
    many(from, &format!("{MANY} ORDER BY s.key"), vec![env.into()]).await
}
