//! The life of a data key: active while it seals new values, retiring while the values that it sealed are sealed anew
//! under the next one, destroyed when nothing is sealed under it any more. Its row stays, as history.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter,
    QueryOrder,
};

use super::{Hold, KeyPurpose, KeyScope, KeyStore, active_row, data_key, new_row, unwrap};
use crate::crypto::envelope::{DataKey, MAX_SEALS};
use crate::kernel::id::{KeyId, ProjectId};
use crate::kernel::{Error, Reads, Result, Timestamp, WriteTx};

/// What a key is still good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Seals new values.
    Active,
    /// Opens values that are not sealed anew yet.
    Retiring,
    /// Opens nothing: its bytes are gone.
    Destroyed,
}

impl KeyState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Destroyed => "destroyed",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Retiring, Self::Destroyed]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}

/// One generation of a data key, without its bytes.
#[derive(Clone, Debug)]
pub struct Generation {
    pub id: KeyId,
    /// From 1.
    pub generation: i32,
    pub state: KeyState,
    /// Texts that were sealed under it and stored; up to [`SEALS_STEP`] less for each process that writes.
    pub seals: i64,
    /// Versions that did not open when they were last to be sealed anew.
    pub failed: i64,
    pub created_at: Timestamp,
    /// Since when nothing is sealed under it.
    pub emptied_at: Option<Timestamp>,
    pub destroyed_at: Option<Timestamp>,
}

impl TryFrom<data_key::Model> for Generation {
    type Error = Error;

    fn try_from(row: data_key::Model) -> Result<Self> {
        let data_key::Model {
            id,
            scope_id: _,
            purpose: _,
            generation,
            state,
            root_key_id: _,
            wrapped: _,
            created_at,
            seals,
            failed,
            emptied_at,
            destroyed_at,
        } = row;
        let state = KeyState::parse(&state).ok_or_else(|| Error::internal("the state of a key is stored wrongly"))?;
        Ok(Self {
            id,
            generation,
            state,
            seals,
            failed,
            created_at,
            emptied_at,
            destroyed_at,
        })
    }
}

async fn rows(from: &impl Reads, scope: KeyScope) -> Result<Vec<data_key::Model>> {
    Ok(data_key::Entity::find()
        .filter(data_key::Column::ScopeId.eq(scope.uuid()))
        .filter(data_key::Column::Purpose.eq(KeyPurpose::Data.as_str()))
        .order_by_desc(data_key::Column::Generation)
        .all(from.conn())
        .await?)
}

/// Every generation of a scope's data key, newest first.
///
/// # Errors
/// [`Error::Db`].
pub async fn all(from: &impl Reads, scope: KeyScope) -> Result<Vec<Generation>> {
    rows(from, scope).await?.into_iter().map(Generation::try_from).collect()
}

/// The generations whose values are still to be sealed anew, oldest first.
///
/// # Errors
/// [`Error::Db`].
pub async fn retiring(from: &impl Reads, scope: KeyScope) -> Result<Vec<Generation>> {
    let mut all = all(from, scope).await?;
    all.retain(|key| key.state == KeyState::Retiring);
    all.reverse();
    Ok(all)
}

#[derive(FromQueryResult)]
struct Scope {
    scope_id: ProjectId,
    generation: i32,
}

/// Projects that have a retiring key.
///
/// # Errors
/// [`Error::Db`].
pub async fn projects_retiring(from: &impl Reads) -> Result<Vec<ProjectId>> {
    let sql =
        "SELECT scope_id, MIN(generation) AS generation FROM data_keys WHERE state = 'retiring' GROUP BY scope_id";
    let found = Scope::find_by_statement(from.sql(sql, [])).all(from.conn()).await?;
    Ok(found.into_iter().map(|row| row.scope_id).collect())
}

/// Projects whose key has sealed as much as one key should, with the generation of that key.
///
/// # Errors
/// [`Error::Db`].
pub async fn projects_overdue(from: &impl Reads) -> Result<Vec<(ProjectId, i32)>> {
    let sql = "SELECT scope_id, generation FROM data_keys
               WHERE state = 'active' AND purpose = 'data' AND seals >= $1 AND scope_id IN (SELECT id FROM projects)";
    let found = Scope::find_by_statement(from.sql(sql, [MAX_SEALS.into()]));
    let found = found.all(from.conn()).await?;
    Ok(found.into_iter().map(|row| (row.scope_id, row.generation)).collect())
}

/// Adds to the count of what was sealed under a key.
///
/// # Errors
/// [`Error::Db`].
pub async fn add_seals(tx: &WriteTx, key: KeyId, seals: i64) -> Result<()> {
    let sql = "UPDATE data_keys SET seals = seals + $2 WHERE id = $1";
    tx.conn().execute_raw(tx.sql(sql, [key.into(), seals.into()])).await?;
    Ok(())
}

/// Notes what a walk over the values of a retiring key came to: so many that do not open, or none left at all.
///
/// # Errors
/// [`Error::Db`].
pub async fn note_left(tx: &WriteTx, key: KeyId, left: i64) -> Result<()> {
    // A job waits for it, perhaps of another process.
    let emptied_at = (left == 0).then_some(tx.queue_now());
    let sql = "UPDATE data_keys SET failed = $2, emptied_at = $3 WHERE id = $1 AND state = 'retiring'";
    tx.conn()
        .execute_raw(tx.sql(sql, [key.into(), left.into(), emptied_at.into()]))
        .await?;
    Ok(())
}

/// Wipes the bytes of a retiring key: nothing that it sealed can be opened any more. The row stays. After the commit
/// comes [`KeyStore::forget`]. Returns whether it was there to be destroyed.
///
/// # Errors
/// [`Error::Db`].
pub async fn destroy(tx: &WriteTx, key: KeyId) -> Result<bool> {
    let sql = "UPDATE data_keys SET state = 'destroyed', wrapped = $2, destroyed_at = $3
               WHERE id = $1 AND state = 'retiring'";
    let values = [key.into(), Vec::<u8>::new().into(), tx.now().into()];
    let wiped = tx.conn().execute_raw(tx.sql(sql, values)).await?;
    Ok(wiped.rows_affected() > 0)
}

/// Seals that are not written down yet.
#[derive(Default)]
pub(super) struct Unwritten(Mutex<HashMap<KeyId, i64>>);

impl Unwritten {
    /// Counts; returns what is to be written down, when that is enough.
    fn add(&self, key: KeyId, seals: i64) -> Option<i64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key).or_default();
        *count += seals;
        let all = *count;
        if all < SEALS_STEP {
            return None;
        }
        counts.remove(&key);
        Some(all)
    }
}

/// How many seals a process counts in memory before it writes them down. What it forgets when it is killed is nothing
/// beside the margin between the limit of a key and what a key can bear, 2^28 to 2^32.
pub const SEALS_STEP: i64 = 65_536;

impl KeyStore {
    /// Counts texts that are sealed under a key in this transaction. Only now and then that takes a statement; call it
    /// late, because others who write in the project then wait until the commit.
    ///
    /// # Errors
    /// [`Error::Db`].
    pub async fn count_seals(&self, tx: &WriteTx, key: KeyId, seals: i64) -> Result<()> {
        match self.seals.add(key, seals) {
            Some(all) => add_seals(tx, key, all).await,
            None => Ok(()),
        }
    }

    /// Makes the next generation of a project's data key. From the commit on, new values are sealed under it; the one
    /// before retires. It waits for everybody who is sealing under that one, see [`Hold`].
    ///
    /// # Errors
    /// [`Error::Internal`] when the project has no key.
    pub async fn rotate(&self, tx: &WriteTx, project: ProjectId) -> Result<Generation> {
        Hold::on(project).take_alone(tx).await?;
        let scope = KeyScope::Project(project);
        let old = active_row(tx, scope, KeyPurpose::Data)
            .await?
            .ok_or_else(|| Error::internal("a project without its keys"))?;
        let sql = "UPDATE data_keys SET state = 'retiring' WHERE id = $1";
        tx.conn().execute_raw(tx.sql(sql, [old.id.into()])).await?;
        let row = new_row(&self.roots, tx, scope, KeyPurpose::Data, old.generation + 1)?;
        data_key::Entity::insert(row.clone().into_active_model().reset_all())
            .exec_without_returning(tx.conn())
            .await?;
        row.try_into()
    }

    /// Drops an open key from memory.
    pub async fn forget(&self, key: KeyId) {
        self.data.invalidate(&key).await;
    }

    /// The data keys of a scope that are not destroyed, opened. They are not kept in memory: a snapshot may know a
    /// key that was destroyed since.
    ///
    /// # Errors
    /// [`Error::Internal`] when one does not open under its root key.
    pub async fn opened(&self, from: &impl Reads, scope: KeyScope) -> Result<HashMap<KeyId, DataKey>> {
        let rows = rows(from, scope).await?.into_iter();
        rows.filter(|row| row.destroyed_at.is_none())
            .map(|row| Ok((row.id, DataKey::new(row.id, *unwrap(&self.roots, &row)?.expose()))))
            .collect()
    }
}
