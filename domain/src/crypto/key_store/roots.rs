//! The root keys that keys are wrapped with: are they the right ones, which are in use, and how a new one takes over.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Value,
};
use uuid::Uuid;

use super::{KeyStore, data_key, place, root_key, unwrap};
use crate::crypto::keyring::RootKeyring;
use crate::kernel::id::KeyId;
use crate::kernel::lists::value_marks;
use crate::kernel::{Db, Error, Reads, Result};

/// Keys wrapped anew in one transaction.
const BATCH: u64 = 500;

/// How much depends on a root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootUse {
    pub id: String,
    /// Keys that are wrapped with it.
    pub keys: i64,
    /// Whether new keys are wrapped with it.
    pub is_primary: bool,
    /// Whether it is configured.
    pub is_set: bool,
}

#[derive(FromQueryResult)]
struct Wrapped {
    id: String,
    n: i64,
}

/// Keys by the root key that wraps them. Reads columns that every version of the schema has.
async fn wrapped(db: &Db) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT root_key_id AS id, COUNT(*) AS n FROM data_keys WHERE state <> 'destroyed' GROUP BY root_key_id";
    let rows = Wrapped::find_by_statement(db.sql(sql, [])).all(db.conn()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.n)).collect())
}

/// The configured root keys, primary first, and behind them those that keys are wrapped with and that are not
/// configured.
///
/// # Errors
/// [`Error::Db`].
pub async fn in_use(db: &Db, roots: &RootKeyring) -> Result<Vec<RootUse>> {
    let mut wrapped = wrapped(db).await?;
    let mut all: Vec<_> = roots
        .ids()
        .map(|id| RootUse {
            id: id.to_owned(),
            keys: wrapped.remove(id).unwrap_or(0),
            is_primary: id == roots.primary().id(),
            is_set: true,
        })
        .collect();
    all.extend(wrapped.into_iter().map(|(id, keys)| RootUse {
        id,
        keys,
        is_primary: false,
        is_set: false,
    }));
    Ok(all)
}

impl KeyStore {
    /// Refuses a root key that is not the one this database was written with. Reads only, so that a wrong key is
    /// noticed before anything, migrations included, is written.
    ///
    /// # Errors
    /// [`Error::Internal`] naming the key ids that do not fit.
    pub async fn check_roots(db: &Db, roots: &RootKeyring) -> Result<()> {
        let Ok(known) = root_key::Entity::find().all(db.conn()).await else {
            return Ok(()); // No such table: a new database.
        };
        for row in known {
            match roots.check_value(&row.id) {
                Some(value) if value.as_slice() == row.check_value => {}
                Some(_) => {
                    return Err(Error::internal(format!(
                        "the root key `{}` is not the one this database was written with",
                        row.id
                    )));
                }
                None => {
                    if let Some(keys) = wrapped(db).await?.get(&row.id) {
                        return Err(Error::internal(format!(
                            "the root key `{0}` is missing from STRONGROOM_ROOT_KEY, and {keys} keys are wrapped with \
                             it. Put it behind the primary one, `new:…,{0}:…`, until `strongroom-api root-keys` says \
                             that it can be removed",
                            row.id
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    /// Wraps every key that another root key wraps with the primary one, some at a time. Several processes may do it
    /// at once. Returns how many it wrapped.
    ///
    /// # Errors
    /// [`Error::Db`]. A key that does not open is left as it is and logged.
    pub async fn rewrap(&self, db: &Db) -> Result<u64> {
        let others: Vec<&str> = self.roots.ids().skip(1).collect();
        if others.is_empty() {
            return Ok(0);
        }
        let (mut done, mut after) = (0, KeyId(Uuid::nil()));
        loop {
            let rows = data_key::Entity::find()
                .filter(data_key::Column::RootKeyId.is_in(others.iter().copied()))
                .filter(data_key::Column::State.ne("destroyed"))
                .filter(data_key::Column::Id.gt(after))
                .order_by_asc(data_key::Column::Id)
                .limit(BATCH)
                .all(db.conn())
                .await?;
            let Some(last) = rows.last().map(|row| row.id) else {
                return Ok(done);
            };
            after = last;
            done += self.rewrap_rows(db, rows).await?;
        }
    }

    async fn rewrap_rows(&self, db: &Db, rows: Vec<data_key::Model>) -> Result<u64> {
        let tx = db.begin_write().await?;
        let mut values: Vec<Value> = Vec::with_capacity(rows.len() * 4);
        for row in rows {
            let bytes = match unwrap(&self.roots, &row) {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::error!(key = %row.id, root_key = row.root_key_id, %error, "a key cannot be wrapped anew");
                    continue;
                }
            };
            let bound = place(row.id, row.scope_id, &row.purpose, row.generation);
            let (root, wrapped) = self.roots.wrap(tx.rng(), &bound, bytes.expose())?;
            values.extend([row.id.into(), root.into(), wrapped.into(), row.wrapped.into()]);
        }
        if values.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        // Whoever wrapped or destroyed it meanwhile was right.
        let sql = format!(
            "UPDATE data_keys SET root_key_id = v.column2, wrapped = v.column3 FROM (VALUES {}) AS v
             WHERE data_keys.id = v.column1 AND data_keys.wrapped = v.column4",
            value_marks(tx.backend(), values.len() / 4, 4)
        );
        let written = tx.conn().execute_raw(tx.sql(&sql, values)).await?;
        tx.commit_bookkeeping().await?;
        Ok(written.rows_affected())
    }
}
