//! The keys below the root key: one data key per project and generation, one per organisation, a few of the
//! instance's own. Wrapped in the database, open in memory for a minute at most.

pub mod generations;
mod hold;
pub mod roots;

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder,
};
use uuid::Uuid;

pub use self::hold::Hold;
use super::aad::{Aad, Purpose};
use super::entity::{data_key, root_key};
use super::envelope::{self, DataKey};
use super::fingerprint::FingerprintKey;
use super::keyring::RootKeyring;
use super::token::TokenMacKey;
use crate::kernel::id::{KeyId, OrgId, ProjectId};
use crate::kernel::{Db, Error, Reads, Result, Secret, WriteTx};

/// Open keys held in memory at once.
const CACHE_KEYS: u64 = 10_000;
/// How long an open key stays in memory: also how long a destroyed key lives on in other processes.
pub const CACHE_TTL: Duration = Duration::from_mins(1);

/// What a stored key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Seals values.
    Data,
    /// Compares values without opening them.
    Fingerprint,
    /// Looks up tokens and codes.
    TokenMac,
}

impl KeyPurpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Fingerprint => "fingerprint",
            Self::TokenMac => "token_mac",
        }
    }
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyScope {
    Instance,
    Org(OrgId),
    Project(ProjectId),
}

impl KeyScope {
    fn uuid(self) -> Uuid {
        match self {
            Self::Instance => Uuid::nil(),
            Self::Org(id) => id.0,
            Self::Project(id) => id.0,
        }
    }
}

/// The keys of a project that are in use for new values.
#[derive(Clone)]
pub struct ProjectKeys {
    pub data: Arc<DataKey>,
    pub fingerprint: Arc<FingerprintKey>,
}

/// Opens, makes and remembers the stored keys.
pub struct KeyStore {
    roots: RootKeyring,
    data: Cache<KeyId, Arc<DataKey>>,
    fingerprints: Cache<KeyId, Arc<FingerprintKey>>,
    token_mac: TokenMacKey,
    instance: DataKey,
    seals: generations::Unwritten,
}

impl KeyStore {
    /// Opens the store of a migrated database; makes the instance's own keys the first time.
    ///
    /// # Errors
    /// See [`KeyStore::check_roots`].
    pub async fn open(db: &Db, roots: RootKeyring) -> Result<Self> {
        Self::check_roots(db, &roots).await?;
        let tx = db.begin_write().await?;
        for id in roots.ids() {
            let check_value = roots
                .check_value(id)
                .ok_or_else(|| Error::internal("root key without check value"))?;
            let row = root_key::ActiveModel {
                id: Set(id.to_owned()),
                check_value: Set(check_value.to_vec()),
                created_at: Set(tx.now()),
            };
            let ignore = sea_orm::sea_query::OnConflict::column(root_key::Column::Id)
                .do_nothing()
                .to_owned();
            root_key::Entity::insert(row)
                .on_conflict(ignore)
                .exec_without_returning(tx.conn())
                .await?;
        }
        let (_, mac) = instance_key(&roots, &tx, KeyPurpose::TokenMac).await?;
        let (data_id, data) = instance_key(&roots, &tx, KeyPurpose::Data).await?;
        tx.commit_bookkeeping().await?;
        Ok(Self {
            token_mac: TokenMacKey::new(*mac.expose()),
            instance: DataKey::new(data_id, *data.expose()),
            seals: generations::Unwritten::default(),
            data: Cache::builder()
                .max_capacity(CACHE_KEYS)
                .time_to_live(CACHE_TTL)
                .build(),
            fingerprints: Cache::builder()
                .max_capacity(CACHE_KEYS)
                .time_to_live(CACHE_TTL)
                .build(),
            roots,
        })
    }

    /// Wipes open keys that are too old. The caches do so by themselves only while they are used.
    pub async fn tidy(&self) {
        self.data.run_pending_tasks().await;
        self.fingerprints.run_pending_tasks().await;
    }

    /// Looks up tokens and codes.
    pub fn token_mac(&self) -> &TokenMacKey {
        &self.token_mac
    }

    /// What goes into the hashes of passwords. It lasts as long as the key that tokens are looked up with.
    pub fn password_key(&self) -> Secret<[u8; 32]> {
        Secret::new(self.token_mac.mac_text("password_key", ""))
    }

    /// Seals what belongs to no organisation.
    pub fn instance(&self) -> &DataKey {
        &self.instance
    }

    /// Makes the first generation of the keys of a new project or organisation.
    ///
    /// # Errors
    /// [`Error::Db`].
    pub async fn create(&self, tx: &WriteTx, scope: KeyScope, purposes: &[KeyPurpose]) -> Result<()> {
        for purpose in purposes {
            insert(&self.roots, tx, scope, *purpose, 1).await?;
        }
        Ok(())
    }

    /// The key that new values of this scope are sealed with.
    ///
    /// # Errors
    /// [`Error::Internal`] when the scope has none.
    pub async fn active(&self, from: &impl Reads, scope: KeyScope) -> Result<Arc<DataKey>> {
        let row = active_row(from, scope, KeyPurpose::Data)
            .await?
            .ok_or_else(|| Error::internal("scope without a data key"))?;
        self.data_key(row).await
    }

    /// The key that a stored blob names.
    ///
    /// # Errors
    /// [`Error::Internal`] when the blob names no key of ours, or one that was destroyed.
    pub async fn of_blob(&self, from: &impl Reads, blob: &[u8]) -> Result<Arc<DataKey>> {
        let id = envelope::key_id_of(blob).ok_or_else(|| Error::internal("a stored blob is too short"))?;
        if let Some(key) = self.data.get(&id).await {
            return Ok(key);
        }
        let row = data_key::Entity::find_by_id(id).one(from.conn()).await?;
        self.data_key(row.ok_or_else(|| Error::internal("a stored blob names an unknown key"))?)
            .await
    }

    /// The keys that a project's new values are sealed and compared with, in one query. The hold must have been taken
    /// in the same transaction, so that they stay the active ones until its end.
    ///
    /// # Errors
    /// [`Error::Internal`] when the project lacks one.
    pub async fn project(&self, tx: &WriteTx, hold: Hold) -> Result<ProjectKeys> {
        let rows = data_key::Entity::find()
            .filter(data_key::Column::ScopeId.eq(hold.project().0))
            .filter(is_active())
            .order_by_asc(data_key::Column::Generation)
            .all(tx.conn())
            .await?;
        let (mut data, mut fingerprint) = (None, None);
        for row in rows {
            match row.purpose.as_str() {
                "data" => data = Some(self.data_key(row).await?),
                "fingerprint" => fingerprint = Some(self.fingerprint_key(row).await?),
                _ => {}
            }
        }
        let missing = || Error::internal("a project without its keys");
        Ok(ProjectKeys {
            data: data.ok_or_else(missing)?,
            fingerprint: fingerprint.ok_or_else(missing)?,
        })
    }

    /// The key that a project's values are compared with.
    ///
    /// # Errors
    /// [`Error::Internal`] when the project has none.
    pub async fn fingerprint(&self, from: &impl Reads, project: ProjectId) -> Result<Arc<FingerprintKey>> {
        let row = active_row(from, KeyScope::Project(project), KeyPurpose::Fingerprint).await?;
        self.fingerprint_key(row.ok_or_else(|| Error::internal("a project without its keys"))?)
            .await
    }

    async fn fingerprint_key(&self, row: data_key::Model) -> Result<Arc<FingerprintKey>> {
        if let Some(key) = self.fingerprints.get(&row.id).await {
            return Ok(key);
        }
        let key = Arc::new(FingerprintKey::new(*unwrap(&self.roots, &row)?.expose()));
        self.fingerprints.insert(row.id, Arc::clone(&key)).await;
        Ok(key)
    }

    async fn data_key(&self, row: data_key::Model) -> Result<Arc<DataKey>> {
        if let Some(key) = self.data.get(&row.id).await {
            return Ok(key);
        }
        let key = Arc::new(DataKey::new(row.id, *unwrap(&self.roots, &row)?.expose()));
        self.data.insert(row.id, Arc::clone(&key)).await;
        Ok(key)
    }
}

/// Reads the instance's key, or makes it. Two processes starting at once agree: the unique index lets one win.
async fn instance_key(roots: &RootKeyring, tx: &WriteTx, purpose: KeyPurpose) -> Result<(KeyId, Secret<[u8; 32]>)> {
    if active_row(tx, KeyScope::Instance, purpose).await?.is_none() {
        insert(roots, tx, KeyScope::Instance, purpose, 1).await?;
    }
    let row = active_row(tx, KeyScope::Instance, purpose)
        .await?
        .ok_or_else(|| Error::internal("the instance has no key"))?;
    Ok((row.id, unwrap(roots, &row)?))
}

/// The condition on keys that new values are sealed with. It is written out and not bound: a value that SQLite holds against
/// the condition of an index, it plans the statement anew for, each time.
fn is_active() -> Expr {
    Expr::cust("state = 'active'")
}

async fn active_row(from: &impl Reads, scope: KeyScope, purpose: KeyPurpose) -> Result<Option<data_key::Model>> {
    let found = data_key::Entity::find()
        .filter(data_key::Column::ScopeId.eq(scope.uuid()))
        .filter(data_key::Column::Purpose.eq(purpose.as_str()))
        .filter(is_active())
        .order_by_desc(data_key::Column::Generation)
        .one(from.conn())
        .await?;
    Ok(found)
}

async fn insert(
    roots: &RootKeyring,
    tx: &WriteTx,
    scope: KeyScope,
    purpose: KeyPurpose,
    generation: i32,
) -> Result<()> {
    let row = new_row(roots, tx, scope, purpose, generation)?;
    let ignore = sea_orm::sea_query::OnConflict::columns([
        data_key::Column::ScopeId,
        data_key::Column::Purpose,
        data_key::Column::Generation,
    ])
    .do_nothing()
    .to_owned();
    data_key::Entity::insert(row.into_active_model().reset_all())
        .on_conflict(ignore)
        .exec_without_returning(tx.conn())
        .await?;
    Ok(())
}

/// A new key, wrapped.
fn new_row(
    roots: &RootKeyring,
    tx: &WriteTx,
    scope: KeyScope,
    purpose: KeyPurpose,
    generation: i32,
) -> Result<data_key::Model> {
    let bytes = Secret::new(tx.rng().bytes::<32>()?);
    let id: KeyId = tx.new_id()?;
    let (root_key_id, wrapped) = roots.wrap(
        tx.rng(),
        &place(id, scope.uuid(), purpose.as_str(), generation),
        bytes.expose(),
    )?;
    Ok(data_key::Model {
        id,
        scope_id: scope.uuid(),
        purpose: purpose.as_str().to_owned(),
        generation,
        state: "active".to_owned(),
        root_key_id,
        wrapped,
        created_at: tx.now(),
        seals: 0,
        failed: 0,
        emptied_at: None,
        destroyed_at: None,
    })
}

fn unwrap(roots: &RootKeyring, row: &data_key::Model) -> Result<Secret<[u8; 32]>> {
    if row.destroyed_at.is_some() {
        return Err(Error::internal(format!("the key {} was destroyed", row.id)));
    }
    let bytes = roots
        .unwrap(
            &row.root_key_id,
            &place(row.id, row.scope_id, &row.purpose, row.generation),
            &row.wrapped,
        )
        .map_err(|_| Error::internal("a stored key does not open under the root key"))?;
    let array = <[u8; 32]>::try_from(bytes.expose().as_slice())
        .map_err(|_| Error::internal("a stored key has the wrong length"))?;
    Ok(Secret::new(array))
}

/// Binds a wrapped key to its row.
fn place(id: KeyId, scope: Uuid, purpose: &str, generation: i32) -> Vec<u8> {
    Aad::new(Purpose::DataKey)
        .uuid(id.0)
        .uuid(scope)
        .text(purpose)
        .u64(u64::try_from(generation).unwrap_or(0))
        .finish()
}

/// Deletes the keys of an organisation and of its projects: whatever they sealed can never be opened again, copies and
/// backups included.
///
/// # Errors
/// [`Error::Db`].
pub async fn destroy_of_org(tx: &WriteTx, org: OrgId) -> Result<()> {
    let sql = "DELETE FROM data_keys WHERE scope_id = $1 OR scope_id IN (SELECT id FROM projects WHERE org_id = $1)";
    tx.conn().execute_raw(tx.sql(sql, [org.into()])).await?;
    Ok(())
}
