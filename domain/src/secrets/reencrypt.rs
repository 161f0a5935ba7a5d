//! Sealing values anew under the active key, in small steps. Each is a transaction of its own with its event, so that
//! writers wait for milliseconds at most, and a worker that dies in the middle loses nothing: the values that are left
//! still name the old key.

use std::collections::HashSet;

use sea_orm::{FromQueryResult, Value};

use super::rotation::{KEY_OF_VALUE, sealed_under};
use crate::access::Origin;
use crate::crypto::envelope::{DataKey, SecretField, SecretPlace, blob_digest};
use crate::crypto::key_store::generations::{self, Generation};
use crate::crypto::key_store::{CACHE_TTL, Hold, KeyScope, KeyStore};
use crate::journal::{self, Action, Entry, Resealed, Target};
use crate::kernel::id::{EnvId, KeyId, OrgId, ProjectId, SecretId};
use crate::kernel::lists::value_marks;
use crate::kernel::{Db, Error, Reads, Result, Secret, Timestamp, WriteTx};
use crate::projects::lookup;

/// Versions of one step at most.
const STEP: u64 = 200;
/// Sealed bytes after which a step takes no further version: large values make short steps.
const STEP_BYTES: usize = 1 << 20;

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another step.
    Step,
    /// Nothing before this instant. Then a key can be destroyed that nothing is sealed under any more: whoever read a
    /// value before it was sealed anew has looked up its key by then.
    At(Timestamp),
    /// So many versions do not open. They keep their key, and all others are done.
    Stuck(i64),
    /// Everything is sealed under the active key, and the old ones are destroyed.
    Done,
    /// The project is gone.
    Gone,
}

/// A walk over everything that the retiring keys of a project seal, oldest key first.
pub struct Reencryption<'a> {
    db: &'a Db,
    store: &'a KeyStore,
    project: ProjectId,
    /// The last version looked at, of the key under way.
    after: Option<(SecretId, i64)>,
    /// Keys that the walk is through with.
    walked: HashSet<KeyId>,
}

/// A sealed version with its place. The place is looked up as readers do, from the environment upwards.
#[derive(FromQueryResult)]
struct Row {
    secret_id: SecretId,
    version: i64,
    sealed_value: Vec<u8>,
    sealed_comment: Option<Vec<u8>>,
    environment_id: EnvId,
    project_id: ProjectId,
    org_id: OrgId,
}

impl<'a> Reencryption<'a> {
    pub fn new(db: &'a Db, store: &'a KeyStore, project: ProjectId) -> Self {
        Self {
            db,
            store,
            project,
            after: None,
            walked: HashSet::new(),
        }
    }

    /// Takes one step.
    ///
    /// # Errors
    /// [`Error::Db`]; the step is undone then and can be taken again.
    pub async fn step(&mut self) -> Result<Next> {
        let Some(org) = lookup::org_of(self.db, self.project).await? else {
            return Ok(Next::Gone);
        };
        let retiring = generations::retiring(self.db, KeyScope::Project(self.project)).await?;
        let Some(key) = retiring.iter().find(|key| !self.walked.contains(&key.id)) else {
            return Ok(outcome(&retiring));
        };
        if let Some(emptied_at) = key.emptied_at {
            self.walked.insert(key.id);
            if self.db.queue_now() >= emptied_at + CACHE_TTL {
                self.destroy(org, key).await?;
            }
        } else {
            self.after = self.reseal_some(org, key).await?;
            if self.after.is_none() {
                self.note_left(key).await?;
                self.walked.insert(key.id);
            }
        }
        Ok(Next::Step)
    }

    /// Seals the next versions anew. Returns the last one looked at; `None` when there were no more.
    async fn reseal_some(&self, org: OrgId, old: &Generation) -> Result<Option<(SecretId, i64)>> {
        let tx = self.db.begin_write().await?;
        let hold = Hold::on(self.project);
        hold.take(&tx).await?;
        let active = self.store.project(&tx, hold).await?.data;
        let rows = next_rows(&tx, old.id, self.after).await?;
        let last = rows.last().map(|row| (row.secret_id, row.version));
        let mut sealed = Vec::with_capacity(rows.len());
        for row in rows {
            let (secret, version) = (row.secret_id, row.version);
            match self.reseal(&tx, &active, row).await {
                Ok(row) => sealed.push(row),
                Err(error @ Error::Db(_)) => return Err(error),
                Err(error @ (Error::Internal(_) | Error::Problem(_))) => {
                    let key = old.id;
                    tracing::error!(%error, %secret, version, %key, "a value cannot be sealed anew; its key is kept");
                }
            }
        }
        if sealed.is_empty() {
            tx.rollback().await?;
            return Ok(last);
        }
        let (resealed, seals) = write(&tx, old.id, sealed).await?;
        if resealed.is_empty() {
            tx.rollback().await?;
            return Ok(last);
        }
        generations::add_seals(&tx, active.id(), seals).await?;
        let (name, versions) = journal::resealed_data(&resealed);
        let entry = Entry::in_org(org, Action::ProjectKeyReencrypted, Target::Project(self.project))
            .project(self.project)
            .with("from", old.id.to_string())
            .with("to", active.id().to_string())
            .with(name, versions);
        journal::record(&tx, &Origin::system(), entry).await?;
        tx.commit().await?;
        Ok(last)
    }

    async fn reseal(&self, tx: &WriteTx, active: &DataKey, row: Row) -> Result<Row> {
        let aad = |field| {
            let place = SecretPlace {
                org: row.org_id,
                project: row.project_id,
                env: row.environment_id,
                secret: row.secret_id,
                version: row.version,
                field,
            };
            place.aad()
        };
        let value = self.open(tx, &row.sealed_value, &aad(SecretField::Value)).await?;
        let sealed_value = active.seal(tx.rng(), &aad(SecretField::Value), value.expose())?;
        let sealed_comment = match &row.sealed_comment {
            Some(blob) => {
                let comment = self.open(tx, blob, &aad(SecretField::Comment)).await?;
                Some(active.seal(tx.rng(), &aad(SecretField::Comment), comment.expose())?)
            }
            None => None,
        };
        Ok(Row {
            sealed_value,
            sealed_comment,
            ..row
        })
    }

    async fn open(&self, tx: &WriteTx, blob: &[u8], aad: &[u8]) -> Result<Secret<Vec<u8>>> {
        Ok(self.store.of_blob(tx, blob).await?.open(aad, blob)?)
    }

    /// Notes what is left under a key that was walked through: what did not open, or nothing.
    async fn note_left(&self, key: &Generation) -> Result<()> {
        let tx = self.db.begin_write().await?;
        let left = left(&tx, key.id).await?;
        generations::note_left(&tx, key.id, left).await?;
        tx.commit_bookkeeping().await?;
        if left > 0 {
            tracing::error!(project = %self.project, key = %key.id, left, "values do not open; their key is kept");
        }
        Ok(())
    }

    /// Destroys a key that nothing is sealed under. Nobody seals under a retiring key, see [`Hold`], so that what is
    /// seen here stays so; only somebody in the database can have put old values back.
    async fn destroy(&self, org: OrgId, key: &Generation) -> Result<()> {
        let tx = self.db.begin_write().await?;
        let left = left(&tx, key.id).await?;
        if left > 0 {
            generations::note_left(&tx, key.id, left).await?;
            tx.commit_bookkeeping().await?;
            return Ok(());
        }
        if !generations::destroy(&tx, key.id).await? {
            return tx.rollback().await;
        }
        let entry = Entry::in_org(org, Action::ProjectKeyDestroyed, Target::Project(self.project))
            .project(self.project)
            .with("key_id", key.id.to_string())
            .with("generation", key.generation);
        journal::record(&tx, &Origin::system(), entry).await?;
        tx.commit().await?;
        self.store.forget(key.id).await;
        Ok(())
    }
}

/// What is left to do after a walk.
fn outcome(retiring: &[Generation]) -> Next {
    if retiring.is_empty() {
        return Next::Done;
    }
    let next = retiring.iter().filter_map(|key| key.emptied_at).min();
    match next {
        Some(emptied_at) => Next::At(emptied_at + CACHE_TTL),
        None => Next::Stuck(retiring.iter().map(|key| key.failed).sum()),
    }
}

async fn left(from: &impl Reads, key: KeyId) -> Result<i64> {
    Ok(sealed_under(from, &[key]).await?.values().sum())
}

/// The next versions that a key seals, in the order of its index.
async fn next_rows(tx: &WriteTx, key: KeyId, after: Option<(SecretId, i64)>) -> Result<Vec<Row>> {
    let (secret, version) = after.unwrap_or((SecretId(uuid::Uuid::nil()), 0));
    let sql = format!(
        "SELECT v.secret_id, v.version, v.sealed_value, v.sealed_comment, e.id AS environment_id, e.project_id, e.org_id
         FROM secret_versions v JOIN secrets s ON s.id = v.secret_id JOIN environments e ON e.id = s.environment_id
         WHERE {KEY_OF_VALUE} = $1 AND (v.secret_id, v.version) > ($2, $3) ORDER BY v.secret_id, v.version LIMIT {STEP}"
    );
    let values = [key.0.as_bytes().to_vec().into(), secret.into(), version.into()];
    let mut rows = Row::find_by_statement(tx.sql(&sql, values)).all(tx.conn()).await?;
    let mut bytes = 0;
    let one_too_many = rows.iter().position(|row| {
        let is_full = bytes >= STEP_BYTES;
        bytes += row.sealed_value.len();
        is_full
    });
    rows.truncate(one_too_many.unwrap_or(rows.len()));
    Ok(rows)
}

/// Writes versions that are sealed anew, those that meanwhile were destroyed or sealed anew by another worker left as
/// they are. Returns what was written, and how many texts were sealed.
async fn write(tx: &WriteTx, old: KeyId, rows: Vec<Row>) -> Result<(Vec<Resealed>, i64)> {
    let count = rows.len();
    let mut values: Vec<Value> = Vec::with_capacity(count * 4 + 1);
    let (mut resealed, mut seals) = (Vec::with_capacity(count), 0);
    for row in rows {
        resealed.push(Resealed {
            secret: row.secret_id,
            version: row.version,
            digest: blob_digest(&row.sealed_value),
        });
        seals += 1 + i64::from(row.sealed_comment.is_some());
        values.extend([
            row.secret_id.into(),
            row.version.into(),
            row.sealed_value.into(),
            row.sealed_comment.into(),
        ]);
    }
    values.push(old.0.as_bytes().to_vec().into());
    let sql = format!(
        "UPDATE secret_versions SET sealed_value = v.column3, sealed_comment = v.column4 FROM (VALUES {}) AS v
         WHERE secret_versions.secret_id = v.column1 AND secret_versions.version = v.column2 AND {KEY_OF_VALUE} = ${}
         RETURNING secret_id, version",
        value_marks(tx.backend(), count, 4),
        values.len()
    );
    let written = Written::find_by_statement(tx.sql(&sql, values)).all(tx.conn()).await?;
    let written: HashSet<_> = written.into_iter().map(|row| (row.secret_id, row.version)).collect();
    resealed.retain(|resealed| written.contains(&(resealed.secret, resealed.version)));
    Ok((resealed, seals))
}

#[derive(FromQueryResult)]
struct Written {
    secret_id: SecretId,
    version: i64,
}
